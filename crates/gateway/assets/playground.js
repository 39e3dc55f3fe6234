// The playground: a form that becomes the request a client would send, and what became of it.

const $ = (id) => document.getElementById(id);
const form = $("form");
const KEY = "tryon-api-key";

// What each task calls its pictures, and which of the form's fields it takes.
const TASKS = {
  clothes: {
    path: "/api/v1/tryon/clothes",
    pictures: { person: "model_image", garment: "garment_image" },
    names: { person: "Person", garment: "Garment" },
    fields: ["category", "subcategory", "mode", "num_samples", "output_format", "seed"],
  },
  hairstyle: {
    path: "/api/v1/tryon/hairstyle",
    pictures: { person: "face_image" },
    names: { person: "Face" },
    fields: ["haircut", "hair_color", "num_samples", "output_format", "seed"],
  },
  tattoo: {
    path: "/api/v1/tryon/tattoo",
    pictures: { person: "body_image", garment: "design_image" },
    names: { person: "Body", garment: "Design" },
    fields: ["placement", "num_samples", "output_format", "seed"],
  },
};
const NUMBERS = ["num_samples", "seed"];
const WITH_KIND = ["jewelry", "accessories", "eyewear", "footwear", "headwear", "others"];
const TYPES = ["image/jpeg", "image/png", "image/webp"];

const pictures = { person: null, garment: null };
let shown = { before: null, files: [] };
let running = null;
// The picture that a job which is under way will be compared with.
let compared = null;

const task = () => TASKS[form.elements.task.value];

// ── the key ─────────────────────────────────────────────────────────────────────────────────────

function restoreKey() {
  // A link may bring it where no server sees it.
  const brought = new URLSearchParams(location.hash.slice(1)).get("key");
  if (brought) {
    sessionStorage.setItem(KEY, brought);
    history.replaceState(null, "", location.pathname);
  }
  // Whoever made a link sees what is done with its key.
  $("brought").hidden = !brought;
  $("key").value = sessionStorage.getItem(KEY) ?? "";
  showBalance();
}

async function call(path, options = {}) {
  const response = await fetch(path, {
    ...options,
    headers: { Authorization: `Bearer ${$("key").value.trim()}`, ...options.headers },
  });
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  const error = new Error(body.message ?? `the gateway answered ${response.status}`);
  throw Object.assign(error, { name: body.error ?? "Error", status: response.status });
}

async function showBalance() {
  const key = $("key").value.trim();
  sessionStorage.setItem(KEY, key);
  if (!key) return void ($("balance").textContent = "");
  try {
    const { credits } = await (await call("/api/v1/credits")).json();
    const count = credits.on_demand;
    $("balance").textContent = `${count.toLocaleString("en")} ${count === 1 ? "credit" : "credits"}`;
  } catch (error) {
    $("balance").textContent = error.name === "UnauthorizedAccess" ? "This key is not valid" : "";
  }
}

// ── pictures ────────────────────────────────────────────────────────────────────────────────────

function setPicture(role, file) {
  if (!TYPES.includes(file.type)) {
    return showError({ name: "Not a picture", message: "choose a JPEG, PNG or WebP file" });
  }
  clearPicture(role);
  showError(null);
  pictures[role] = { file, url: URL.createObjectURL(file), name: file.name || `${role}.jpg` };
  const zone = $(`zone-${role}`);
  zone.classList.add("full");
  const image = zone.querySelector("img");
  Object.assign(image, { src: pictures[role].url, alt: `The ${role}: ${pictures[role].name}`, hidden: false });
  zone.querySelector("[data-clear]").hidden = false;
  showCode();
}

function clearPicture(role) {
  if (!pictures[role]) return;
  // What is compared with a result is still looked at.
  if (![shown.before, compared].includes(pictures[role].url)) URL.revokeObjectURL(pictures[role].url);
  pictures[role] = null;
  const zone = $(`zone-${role}`);
  zone.classList.remove("full");
  Object.assign(zone.querySelector("img"), { hidden: true, alt: "" });
  zone.querySelector("[data-clear]").hidden = true;
  $(`file-${role}`).value = "";
  showCode();
}

function listenToZone(role) {
  const zone = $(`zone-${role}`);
  $(`file-${role}`).addEventListener("change", ({ target }) => target.files[0] && setPicture(role, target.files[0]));
  zone.querySelector("[data-clear]").addEventListener("click", () => clearPicture(role));
  zone.querySelector("[data-camera]").addEventListener("click", () => takePhoto(role));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", kind === "dragover");
      const file = kind === "drop" && event.dataTransfer.files[0];
      if (file) setPicture(role, file);
    });
  }
}

// Into the zone that has the focus, or the first that is empty.
function paste(event) {
  const file = [...(event.clipboardData?.files ?? [])].find((it) => TYPES.includes(it.type));
  if (!file) return;
  event.preventDefault();
  const roles = Object.keys(task().pictures);
  const focused = roles.find((role) => $(`zone-${role}`).contains(document.activeElement));
  setPicture(focused ?? roles.find((role) => !pictures[role]) ?? roles[0], file);
}

async function useSample({ dataset: { person, garment, category } }) {
  const fetched = async (path) => {
    const blob = await (await fetch(path)).blob();
    return new File([blob], path.split("/").pop(), { type: blob.type });
  };
  const [one, other] = await Promise.all([fetched(person), fetched(garment)]);
  form.elements.category.value = category;
  adapt();
  setPicture("person", one);
  setPicture("garment", other);
}

async function takePhoto(role) {
  if (!navigator.mediaDevices) {
    // Without TLS a browser lends no camera to a page, but a phone's own dialog still does.
    const input = $(`file-${role}`);
    input.setAttribute("capture", "environment");
    input.click();
    input.removeAttribute("capture");
    return;
  }
  const dialog = $("camera");
  const video = dialog.querySelector("video");
  const error = dialog.querySelector(".error");
  const shoot = dialog.querySelector("[data-shoot]");
  let stream;
  // Before anything is waited for: the dialog may be closed at any time.
  const stop = () => stream?.getTracks().forEach((track) => track.stop());
  dialog.onclose = stop;
  dialog.querySelector("[data-close]").onclick = () => dialog.close();
  shoot.onclick = () => {
    const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => setPicture(role, new File([blob], "photo.jpg", { type: blob.type })), "image/jpeg", 0.92);
    dialog.close();
  };
  shoot.disabled = true;
  error.hidden = true;
  dialog.showModal();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1536 } } });
    if (!dialog.open) return stop();
    video.srcObject = stream;
    await video.play();
    shoot.disabled = false;
  } catch {
    stop();
    error.textContent = "There is no camera that this page may use.";
    error.hidden = false;
  }
}

// ── the request ─────────────────────────────────────────────────────────────────────────────────

const visible = (name) => !form.elements[name].closest(".field").hidden;

/** The body without its pictures. */
function options() {
  const filled = task().fields.filter((name) => visible(name) && form.elements[name].value !== "");
  return Object.fromEntries(filled.map((name) => {
    const value = form.elements[name].value;
    return [name, NUMBERS.includes(name) ? Number(value) : value];
  }));
}

const dataUrl = (file) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(file);
});

async function body() {
  const fields = {};
  for (const [role, field] of Object.entries(task().pictures)) {
    if (!pictures[role]) throw new Error(`choose a picture of the ${task().names[role].toLowerCase()}`);
    fields[field] = await dataUrl(pictures[role].file);
  }
  return JSON.stringify({ ...fields, ...options() });
}

async function submit(event) {
  event.preventDefault();
  running?.abort();
  const run = (running = new AbortController());
  showError(null);
  $("submit").disabled = true;
  const begun = performance.now();
  try {
    if (!$("key").value.trim()) throw new Error("give an API key first");
    const before = (compared = pictures.person?.url);
    const sent = await body();
    showProgress({ stage: "sending" });
    reveal("progress");
    const headers = { "Content-Type": "application/json", "Idempotency-Key": crypto.getRandomValues(new Uint32Array(4)).join("-") };
    const { id } = await (await call(task().path, { method: "POST", body: sent, headers, signal: run.signal })).json();
    $("cancel").onclick = () => call(`/api/v1/jobs/${id}/cancel`, { method: "POST" }).catch(showError);
    const end = await follow(id, run.signal);
    if (end.status === "failed") throw Object.assign(new Error(end.error.message), { name: end.error.name });
    await showPictures(end.output, before, (performance.now() - begun) / 1000);
  } catch (error) {
    if (!run.signal.aborted) showError(error);
  } finally {
    if (running === run) {
      showProgress(null);
      $("submit").disabled = false;
      showBalance();
    }
  }
}

/** How the job ended. A stream that breaks is asked for anew, from the event that came last. */
async function follow(id, signal) {
  let last;
  for (let failures = 0; ; ) {
    try {
      const headers = last ? { "Last-Event-ID": last } : {};
      const response = await call(`/api/v1/status/${id}/events`, { headers, signal });
      for await (const event of events(response.body)) {
        failures = 0;
        last = event.id;
        const state = JSON.parse(event.data);
        if (state.status !== "processing") return state;
        showProgress(state.progress);
      }
    } catch (error) {
      // What is refused once is refused again.
      if (signal.aborted || error.status < 500 || ++failures > 5) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** The events of a stream, which a browser's own reader cannot ask for with a key. */
async function* events(stream) {
  // Not every browser can loop over a stream itself.
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (text + value).split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const event = {};
      for (const line of part.split("\n")) {
        const at = line.indexOf(":");
        if (at > 0) event[line.slice(0, at)] = line.slice(at + 1).trimStart();
      }
      if (event.data) yield event;
    }
  }
}

// ── what is seen ────────────────────────────────────────────────────────────────────────────────

function showError(error) {
  $("error").hidden = !error;
  if (!error) return;
  reveal("error");
  const message = error instanceof TypeError ? "the gateway cannot be reached" : error.message;
  $("error").textContent = error.name && !["Error", "TypeError"].includes(error.name) ? `${error.name}: ${message}` : sentence(message);
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const STAGES = {
  sending: () => "Sending the pictures…",
  preparing: () => "Looking at the pictures…",
  queued: ({ queue_position: place }) => (place ? `In the queue: ${place > 100 ? "behind more than 100 others" : place === 1 ? "next" : `place ${place}`}` : "In the queue…"),
  running: ({ samples }) => {
    const done = samples.filter((it) => it.status === "completed").length;
    return samples.length > 1 ? `At work: ${done} of ${samples.length} pictures done` : "At work…";
  },
};

// What happens next may be out of sight, below the form on a phone.
const reveal = (id) => $(id).scrollIntoView({ block: "nearest" });

function showProgress(progress) {
  $("progress").hidden = !progress;
  $("empty").hidden = Boolean(progress) || !$("pictures").hidden || !$("error").hidden;
  if (!progress) return;
  const stage = STAGES[progress.stage](progress);
  if ($("stage").textContent !== stage) $("stage").textContent = stage;
  const share = done(progress.samples ?? []);
  if (share > 0) $("bar").value = share;
  else $("bar").removeAttribute("value");
  const left = progress.remaining_ms;
  $("remaining").textContent = left == null ? "" : `About ${left < 1000 ? "a second" : seconds(left / 1000)} left.`;
  $("cancel").hidden = progress.stage === "sending";
}

function done(samples) {
  const shares = samples.map((it) => (it.status === "completed" ? 1 : it.steps ? it.step / it.steps : 0));
  return shares.reduce((sum, share) => sum + share, 0) / (samples.length || 1);
}

const seconds = (count) => (count < 90 ? `${Math.round(count)} s` : `${Math.round(count / 60)} min`);

async function showPictures(links, before, took) {
  // Links name the gateway's public address, which need not be where this page came from.
  const local = links.map((link) => new URL(link).pathname + new URL(link).search);
  const blobs = await Promise.all(local.map(async (link) => (await call(link)).blob()));
  [...shown.files, shown.before].filter((url) => url && url !== before).forEach((url) => URL.revokeObjectURL(url));
  shown = { before, files: blobs.map((blob) => URL.createObjectURL(blob)) };
  const format = blobs[0].type.split("/")[1];
  $("thumbs").replaceChildren(...shown.files.map((url, index) => thumb(url, index, format)));
  $("thumbs").hidden = shown.files.length < 2;
  $("before").src = before;
  $("took").textContent = `Made in ${took < 10 ? took.toFixed(1) + " s" : seconds(took)}`;
  $("pictures").hidden = false;
  $("empty").hidden = true;
  showPicture(0, format);
  reveal("result-title");
}

function thumb(url, index, format) {
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.append(Object.assign(new Image(), { src: url, alt: `Picture ${index + 1}` }));
  button.addEventListener("click", () => showPicture(index, format));
  return button;
}

function showPicture(index, format) {
  $("after").src = shown.files[index];
  [...$("thumbs").children].forEach((it, at) => it.setAttribute("aria-pressed", at === index));
  Object.assign($("download"), { href: shown.files[index], download: `tryon-${index + 1}.${format}` });
}

// ── the same in code ────────────────────────────────────────────────────────────────────────────

const LANGUAGES = {
  curl(path, files, fields) {
    // The shell puts pictures in, and must find nothing else to work on.
    const plain = (value) => JSON.stringify(value).replace(/[\\$`]/g, "\\$&");
    const entries = files.map(([field, name]) => `"${field}": "$(picture ${name})"`);
    const others = Object.entries(fields).map(([field, value]) => `"${field}": ${plain(value)}`);
    return `picture() { echo "data:image/jpeg;base64,$(base64 < "$1" | tr -d '\\n')"; }
curl -s ${location.origin}${path} \\
  -H "Authorization: Bearer $TRYON_API_KEY" \\
  -H "Content-Type: application/json" \\
  -H "Prefer: wait=50" -d @- <<END
{${[...entries, ...others].join(",\n ")}}
END`;
  },
  python(path, files, fields) {
    const entries = files.map(([field, name]) => `        "${field}": picture("${name}"),`);
    const others = Object.entries(fields).map(([field, value]) => `        "${field}": ${JSON.stringify(value)},`);
    return `import base64, os, requests

def picture(name):
    with open(name, "rb") as file:
        return "data:image/jpeg;base64," + base64.b64encode(file.read()).decode()

response = requests.post(
    "${location.origin}${path}",
    headers={
        "Authorization": "Bearer " + os.environ["TRYON_API_KEY"],
        "Prefer": "wait=50",
    },
    json={
${[...entries, ...others].join("\n")}
    },
)
response.raise_for_status()
print(response.json())`;
  },
  javascript(path, files, fields) {
    const entries = files.map(([field, name]) => `    ${field}: picture("${name}"),`);
    const others = Object.entries(fields).map(([field, value]) => `    ${field}: ${JSON.stringify(value)},`);
    return `import { readFileSync } from "node:fs";

const picture = (name) =>
  \`data:image/jpeg;base64,\${readFileSync(name, "base64")}\`;

const response = await fetch("${location.origin}${path}", {
  method: "POST",
  headers: {
    Authorization: \`Bearer \${process.env.TRYON_API_KEY}\`,
    "Content-Type": "application/json",
    Prefer: "wait=50",
  },
  body: JSON.stringify({
${[...entries, ...others].join("\n")}
  }),
});
console.log(await response.json());`;
  },
};

// A file may be called anything; a program that is to be run is not the place for that.
const plain = (name, role) => (/^[\w.-]+$/.test(name ?? "") ? name : `${role}.jpg`);

function showCode() {
  const language = document.querySelector("[role=tab][aria-selected=true]").dataset.code;
  const files = Object.entries(task().pictures).map(([role, field]) => [field, plain(pictures[role]?.name, role)]);
  $("code").firstElementChild.textContent = LANGUAGES[language](task().path, files, options());
}

function chooseTab(tab) {
  for (const other of document.querySelectorAll("[role=tab]")) {
    other.setAttribute("aria-selected", other === tab);
    other.tabIndex = other === tab ? 0 : -1;
  }
  $("code").setAttribute("aria-labelledby", tab.id);
  showCode();
}

function moveTab({ key, target }) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
  if (!step || target.role !== "tab") return;
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const next = tabs[(tabs.indexOf(target) + step + tabs.length) % tabs.length];
  next.focus();
  chooseTab(next);
}

async function copy() {
  if (!navigator.clipboard) {
    // Without TLS a browser lends no clipboard to a page.
    getSelection().selectAllChildren($("code"));
    return;
  }
  await navigator.clipboard.writeText($("code").textContent);
  $("copy").textContent = "Copied";
  setTimeout(() => ($("copy").textContent = "Copy"), 2000);
}

// ── the form ────────────────────────────────────────────────────────────────────────────────────

function adapt() {
  const name = form.elements.task.value;
  for (const part of document.querySelectorAll("[data-for]")) {
    part.hidden = !part.dataset.for.split(" ").includes(name);
  }
  $("subcategory-field").hidden ||= !WITH_KIND.includes(form.elements.category.value);
  for (const [role, text] of Object.entries(task().names)) {
    $(`zone-${role}`).querySelector("[data-text]").textContent = text;
  }
  const modes = form.querySelector("[name=task]:checked").dataset.modes.trim().split(" ");
  for (const option of form.elements.mode.options) option.disabled = !modes.includes(option.value);
  if (!modes.includes(form.elements.mode.value)) form.elements.mode.value = modes[0];
  const count = form.elements.num_samples.value;
  $("price").textContent = count === "1" ? "1 credit" : `${count} credits`;
  showCode();
}

function start() {
  restoreKey();
  addEventListener("hashchange", restoreKey);
  if (!task()) {
    // Nothing is offered here.
    $("submit").disabled = true;
    return;
  }
  Object.keys(pictures).forEach(listenToZone);
  form.addEventListener("input", adapt);
  form.addEventListener("submit", submit);
  $("key").addEventListener("change", showBalance);
  document.addEventListener("paste", paste);
  document.querySelectorAll(".sample").forEach((it) => it.addEventListener("click", () => useSample(it).catch(showError)));
  $("slider").addEventListener("input", ({ target }) => $("compare").style.setProperty("--share", `${target.value}%`));
  document.querySelectorAll("[role=tab]").forEach((tab) => tab.addEventListener("click", () => chooseTab(tab)));
  document.querySelector("[role=tablist]").addEventListener("keydown", moveTab);
  $("copy").addEventListener("click", copy);
  adapt();
}

start();
