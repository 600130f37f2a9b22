/* Runs the playground's script without a browser, then a scenario; prints what the scenario gives.

   node playground_in_node.js SCRIPT TABLE PROMPTS SCENARIO

   A file is {name, type, width, height, bytes}; its data: URL has as many characters as `bytes`.
   A scaled one has a character for each pixel. The server answers every message with "seen". */
"use strict";
const { readFileSync } = require("node:fs");
const vm = require("node:vm");

class Element {
  constructor(kind) {
    Object.assign(this, { kind, value: "", textContent: "", hidden: false, disabled: false });
    Object.assign(this, { children: [], options: [], listeners: {}, style: { setProperty() {} } });
    this.classList = { add() {}, remove() {} };
  }
  append(...more) { this.children.push(...more); }
  replaceChildren(...more) { this.children = more; }
  get lastChild() { return this.children.at(-1); }
  setAttribute() {}
  setCustomValidity() {}
  addEventListener(name, listener) { this.listeners[name] = listener; }
  querySelectorAll(kind) {
    const inside = this.children.flatMap((one) => [one, ...(one.children ?? [])]);
    return inside.filter((one) => one.kind === kind);
  }
  focus() { document.activeElement = this; }
  click() { return this.listeners.click?.(); }
  requestSubmit() { return this.listeners.submit({ preventDefault() {} }); }
  getContext() { return { fillRect() {}, drawImage() {} }; }
  toDataURL(type) { return `data:${type};base64,`.padEnd(this.width * this.height, "s"); }
}

const texts = process.argv.slice(2).map((path) => readFileSync(path, "utf8"));
const [script, table, prompts, scenario] = texts;
const elements = {};
const chosen = new Element("input");
chosen.value = "chat";
const document = Object.assign(new Element("document"), {
  getElementById: (id) => elements[id] ??= new Element(id),
  createElement: (kind) => new Element(kind),
  querySelector: () => chosen,
  querySelectorAll: () => [],
  body: new Element("body"),
  documentElement: new Element("html"),
});
Object.assign(document.getElementById("table"), { textContent: table });
Object.assign(document.getElementById("prompts"), { textContent: prompts });
const server = { modalities: ["text", "image"], bodies: [], refusal: null };

async function fetch(path, { body } = {}) {
  if (path === "v1/models") {
    const model = { id: "m", max_model_len: 512, modes: ["diffusion"] };
    return Response.json({ data: [{ ...model, input_modalities: server.modalities }] });
  }
  server.bodies.push(JSON.parse(body));
  if (server.refusal) return Response.json({ error: { message: server.refusal } }, { status: 400 });
  const choice = { delta: { content: "seen" }, finish_reason: "stop" };
  return new Response(`data: ${JSON.stringify({ choices: [choice] })}\n\n`);
}

class FileReader {
  readAsDataURL(file) {
    this.result = `data:${file.type};base64,${file.name}`.padEnd(file.bytes, "=");
    setTimeout(() => this.onload());
  }
}

async function createImageBitmap({ width, height }) {
  if (!width) throw new Error("broken");
  return { width, height, close() {} };
}

const context = vm.createContext({
  ...{ document, fetch, FileReader, createImageBitmap, server, chosen, performance, setTimeout },
  ...{ AbortController, Blob, TextDecoderStream, console, addEventListener() {} },
  matchMedia: () => ({ matches: false, addEventListener() {} }),
});
vm.runInContext(script, context);
setTimeout(async () => {
  const given = await vm.runInContext(`(async () => {${scenario}})()`, context);
  console.log(JSON.stringify(given));
});
