// What adapters/EXAMPLES.md says of Node: a line for each, name and MessagePack in base64, or that it raises.
import { encode } from "@msgpack/msgpack";

function say(name, value, options = { useBigInt64: true }) {
  let packed = "raises";
  try {
    packed = Buffer.from(encode(value, options)).toString("base64");
  } catch {
    // said already
  }
  console.log(`${name}\t${packed}`);
}

const forced = { useBigInt64: true, forceIntegerToFloat: true };
say("whole", 7.0);
say("forced", 7.0, forced);
say("forced bigint", 7n, forced);
say("seed", 18446744073709551615n);
say("least", -9223372036854775808n);
say("rounded", JSON.parse("18446744073709551615"));
say("without option", 7n, {});
say("ms", 1700000000000);
say("ms bigint", 1700000000000n);
say("undefined", { node: undefined });
say("ignored", { node: undefined }, { ignoreUndefined: true });
say("null", { node: null });
