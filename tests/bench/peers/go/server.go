// Events of Redis to WebSockets, in Go with gorilla/websocket and go-redis: server PORT REDIS_PATH
//
// What tests/bench/ measures the relay beside: each event is made into JSON once, as a prepared message, and handed to the
// goroutines of its session's sockets or of all. No limits, replay, pings or acknowledgements; text events only.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"
)

const (
	everybody  = "comfy:events"
	sendBuffer = 256 // messages; a client that is further behind is cut
)

var upgrader = websocket.Upgrader{
	ReadBufferSize:  1024,
	WriteBufferSize: 1024,
	WriteBufferPool: &sync.Pool{},
	CheckOrigin:     func(*http.Request) bool { return true },
}

type client struct {
	conn    *websocket.Conn
	sid     string
	channel string
	send    chan *websocket.PreparedMessage
}

type session struct {
	clients      map[*client]struct{}
	isSubscribed bool
}

type hub struct {
	sync.Mutex
	pubsub   *redis.PubSub
	clients  map[*client]struct{}
	sessions map[string]*session // by channel
}

type event struct {
	Type string `msgpack:"type" json:"type"`
	Data any    `msgpack:"data" json:"data"`
}

type status struct {
	Status struct {
		ExecInfo struct {
			QueueRemaining int `json:"queue_remaining"`
		} `json:"exec_info"`
	} `json:"status"`
	Sid string `json:"sid"`
}

func frame(e event) (*websocket.PreparedMessage, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return websocket.NewPreparedMessage(websocket.TextMessage, text)
}

// An id may stand before the event.
func decode(payload string) (e event, err error) {
	d := msgpack.NewDecoder(strings.NewReader(payload))
	if code, _ := d.PeekCode(); code >= 0xa0 && code <= 0xbf || code >= 0xd9 && code <= 0xdb {
		if err = d.Skip(); err != nil {
			return e, err
		}
	}
	return e, d.Decode(&e)
}

func transcode(payload string) (*websocket.PreparedMessage, error) {
	e, err := decode(payload)
	if err != nil {
		return nil, err
	}
	return frame(e)
}

func (c *client) offer(m *websocket.PreparedMessage) {
	select {
	case c.send <- m:
	default:
		c.conn.Close() // its read fails, and it leaves
	}
}

func (h *hub) join(ctx context.Context, c *client) error {
	h.Lock()
	defer h.Unlock()
	s := h.sessions[c.channel]
	if s == nil {
		s = &session{clients: map[*client]struct{}{}}
		h.sessions[c.channel] = s
		if err := h.pubsub.Subscribe(ctx, c.channel); err != nil {
			return err
		}
	}
	h.clients[c] = struct{}{}
	s.clients[c] = struct{}{}
	if s.isSubscribed {
		return c.greet()
	}
	return nil
}

func (h *hub) leave(ctx context.Context, c *client) {
	h.Lock()
	defer h.Unlock()
	s := h.sessions[c.channel]
	delete(h.clients, c)
	delete(s.clients, c)
	close(c.send)
	if len(s.clients) == 0 {
		delete(h.sessions, c.channel)
		h.pubsub.Unsubscribe(ctx, c.channel)
	}
}

func (c *client) greet() error {
	m, err := frame(event{"status", status{Sid: c.sid}})
	if err == nil {
		c.offer(m)
	}
	return err
}

func (h *hub) onSubscribed(channel string) {
	h.Lock()
	defer h.Unlock()
	if s := h.sessions[channel]; s != nil && !s.isSubscribed {
		s.isSubscribed = true
		for c := range s.clients {
			c.greet()
		}
	}
}

func (h *hub) onMessage(channel, payload string) {
	m, err := transcode(payload)
	if err != nil {
		log.Print(err)
		return
	}
	h.Lock()
	defer h.Unlock()
	if channel == everybody {
		for c := range h.clients {
			c.offer(m)
		}
	} else if s := h.sessions[channel]; s != nil {
		for c := range s.clients {
			c.offer(m)
		}
	}
}

func (h *hub) run() {
	for m := range h.pubsub.ChannelWithSubscriptions(redis.WithChannelSize(1000)) {
		switch m := m.(type) {
		case *redis.Subscription:
			if m.Kind == "subscribe" {
				h.onSubscribed(m.Channel)
			}
		case *redis.Message:
			h.onMessage(m.Channel, m.Payload)
		}
	}
}

func (c *client) write() {
	defer c.conn.Close()
	for m := range c.send {
		if c.conn.WritePreparedMessage(m) != nil {
			return
		}
	}
}

// What clients say is of no interest, but that they go is.
func (c *client) read() {
	for {
		if _, _, err := c.conn.NextReader(); err != nil {
			return
		}
	}
}

func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	sid := r.URL.Query().Get("clientId")
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &client{conn, sid, "comfy:sid:{" + sid + "}", make(chan *websocket.PreparedMessage, sendBuffer)}
	ctx := context.Background()
	go c.write()
	if err := h.join(ctx, c); err != nil {
		log.Print(err)
	} else {
		c.read()
	}
	h.leave(ctx, c)
}

func main() {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: os.Args[2]})
	h := &hub{pubsub: rdb.Subscribe(ctx, everybody), clients: map[*client]struct{}{}, sessions: map[string]*session{}}
	if _, err := h.pubsub.Receive(ctx); err != nil {
		log.Fatal(err)
	}
	go h.run()
	http.HandleFunc("/ws", h.serve)
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, nil))
}
