// What adapters/EXAMPLES.md says of Go: a line for each, name and MessagePack in base64.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

type untagged struct{ Node string }

type jsonTagged struct {
	Node string `json:"node"`
}

type mayBeMissing struct {
	Node string `msgpack:"node,omitempty"`
}

func say(name string, value any, options ...func(*msgpack.Encoder)) {
	var out bytes.Buffer
	encoder := msgpack.NewEncoder(&out)
	for _, set := range options {
		set(encoder)
	}
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	fmt.Printf("%s\t%s\n", name, base64.StdEncoding.EncodeToString(out.Bytes()))
}

func decoded(useNumber bool) (value any) {
	decoder := json.NewDecoder(strings.NewReader("7"))
	if useNumber {
		decoder.UseNumber()
	}
	if err := decoder.Decode(&value); err != nil {
		panic(err)
	}
	if number, is := value.(json.Number); is {
		value, _ = number.Int64()
	}
	return value
}

func main() {
	say("whole", float64(7))
	say("compact float", float64(7), func(e *msgpack.Encoder) { e.UseCompactFloats(true) })
	say("compact int", int64(7), func(e *msgpack.Encoder) { e.UseCompactInts(true) })
	say("seed", uint64(math.MaxUint64))
	say("least", int64(math.MinInt64))
	say("decoded", decoded(false))
	say("decoded number", decoded(true))
	say("sorted", map[string]any{"d": 4, "b": 2, "c": 3, "a": 1}, func(e *msgpack.Encoder) { e.SetSortMapKeys(true) })
	say("untagged", untagged{"3"})
	say("json tags", jsonTagged{"3"})
	say("custom tag", jsonTagged{"3"}, func(e *msgpack.Encoder) { e.SetCustomStructTag("json") })
	say("nil", map[string]any{"node": nil})
	say("omitempty", mayBeMissing{})
	say("nil slice", []string(nil))
	say("empty slice", []string{})
	say("nil map", map[string]any(nil))
	say("empty map", map[string]any{})
	say("time", time.Unix(1700000000, 0))
}
