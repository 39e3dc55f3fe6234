// Drives the published `fashn` client for JavaScript, unchanged but for its base URL.
//
// Run by the `clients` test, as `fashn_client.py` is, with the same arguments and for the same lines:
//
//     node fashn_client.mjs URL KEYS PERSON GARMENT NOISE
//
// with FASHN_CLIENT naming the client's folder.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const Fashn = createRequire(import.meta.url)(process.env.FASHN_CLIENT).default;
const [url, keys, ...paths] = process.argv.slice(2);
const key = JSON.parse(keys);

const clientOf = (apiKey) => new Fashn({ apiKey, baseURL: url });

const dataUrl = (path) => {
  const kind = path.endsWith(".png") ? "png" : "jpeg";
  return `data:image/${kind};base64,${readFileSync(path).toString("base64")}`;
};
const [person, garment, noise] = paths.map(dataUrl);

const report = (name, values) => console.log(JSON.stringify({ case: name, ...values }));

/** Reports the refusal that `call` meets, or that it met none. */
const failing = async (name, call) => {
  try {
    await call();
    report(name, { status: null, error_name: null });
  } catch (error) {
    const said = error.error?.error ?? error.error;
    report(name, { status: error.status, error_name: said });
  }
};

const credits = async (client) => report("credits", (await client.get("/v1/credits")).credits);

const run = (client, { model_name = "tryon-v1.6", ...more } = {}) => {
  const inputs = { model_image: person, garment_image: garment, ...more };
  return client.predictions.run({ model_name, inputs });
};

/** Waits for a run and reports how it ended; gives its pictures. */
const subscribe = async (name, client, more) => {
  const ids = [];
  const states = new Set();
  const ended = await client.predictions.subscribe({
    model_name: "tryon-v1.6",
    inputs: { model_image: person, garment_image: garment, ...more },
    pollInterval: 100,
    onEnqueued: (id) => ids.push(id),
    onQueueUpdate: (status) => states.add(status.status),
  });
  const known = ["starting", "in_queue", "processing", "completed", "failed"];
  report(name, {
    status: ended.status,
    outputs: (ended.output ?? []).length,
    credits_used: ended.creditsUsed,
    error_name: ended.error && ended.error.name,
    enqueued: ids.length === 1 && ids[0] === ended.id,
    unknown: [...states].filter((state) => !known.includes(state)),
  });
  return ended.output;
};

const startsWith = (bytes, magic) => Buffer.from(bytes).subarray(0, magic.length).equals(magic);

const main = clientOf(key.main);
await credits(main);
const [link] = await subscribe("completed", main, { category: "tops", mode: "performance" });
const linked = await (await fetch(link)).arrayBuffer();
report("linked", { png: startsWith(linked, Buffer.from("\x89PNG\r\n\x1a\n", "latin1")) });
const asked = { category: "tops", output_format: "jpeg" };
const [other] = await subscribe("another", main, asked);
const jpeg = await (await fetch(other)).arrayBuffer();
report("linked", { jpeg: startsWith(jpeg, Buffer.from([0xff, 0xd8, 0xff])) });
await credits(main);
const unreadable = `data:image/png;base64,${Buffer.from("not a picture").toString("base64")}`;
await subscribe("ImageLoadError", main, { model_image: unreadable });
await subscribe("PoseError", main, { model_image: noise, category: "tops" });
await failing("UnauthorizedAccess", () => run(clientOf("tryon_wrong")));
await failing("BadRequest for another model", () => run(main, { model_name: "tryon-max" }));
await failing("BadRequest for base64", () => run(main, { return_base64: true }));
await failing("BadRequest for a wrong mode", () => run(main, { mode: "fastest" }));
await failing("NotFound", () => main.predictions.status("0".repeat(24)));
await failing("OutOfCredits", () => run(clientOf(key.poor)));
const crowded = clientOf(key.crowded).withOptions({ maxRetries: 0 });
await failing("ConcurrencyLimitExceeded", () => run(crowded));
await credits(main);
