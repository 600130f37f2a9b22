/* Images of messages: attached, scaled down where a body would be too long, and shown. */
const MAX_SIDE = 1536; // pixels of an image that was scaled down
const JPEG_QUALITY = 0.9;
const SPARE = 1 / 16; // of a body, for texts to come
const KINDS = TABLE.images.types.map((type) => type.replace("image/", "").toUpperCase());
let [attached, takesImages, reading] = [[], false, Promise.resolve()];

/* An image, and the data: URL that is sent. */
class Picture {
  constructor(file) {
    [this.file, this.name, this.isWhole] = [file, file.name || "image", true];
  }

  async read() {
    const bitmap = await createImageBitmap(this.file);
    [this.width, this.height] = [bitmap.width, bitmap.height];
    bitmap.close();
    this.url = await new Promise((done, fail) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result);
      reader.onerror = () => fail(reader.error);
      reader.readAsDataURL(this.file);
    });
  }

  async shrink() {
    const bitmap = await createImageBitmap(this.file);
    const scale = Math.min(1, MAX_SIDE / Math.max(this.width, this.height));
    const scaled = (side) => Math.max(1, Math.round(side * scale));
    const [width, height] = [scaled(this.width), scaled(this.height)];
    const canvas = Object.assign(make("canvas"), { width, height });
    const context = canvas.getContext("2d");
    Object.assign(context, { fillStyle: "#fff", imageSmoothingQuality: "high" });
    context.fillRect(0, 0, width, height); // JPEG has no transparency
    context.drawImage(bitmap, 0, 0, width, height);
    bitmap.close();
    const url = canvas.toDataURL("image/jpeg", JPEG_QUALITY);
    if (url.length < this.url.length) this.url = url;
    this.isWhole = false;
  }

  image() {
    const { url, name, width, height } = this; // the size, so that no text moves once it is read
    return Object.assign(make("img"), { src: url, alt: name, title: name, width, height });
  }
}

/* Content of a message: its text, or the images and the text. */
function contentOf({ text, pictures }) {
  if (!pictures.length) return text;
  const parts = pictures.map(({ url }) => ({ type: "image_url", image_url: { url } }));
  return text ? [...parts, { type: "text", text }] : parts;
}

const earlierPictures = () => messages.flatMap((message) => message.pictures);

/* Scales images down until the server takes the body: those of the message, then earlier ones. */
async function makeRoom(text, pictures, spare = 0) {
  const maxBytes = TABLE.max_body_bytes * (1 - spare);
  while (new Blob([JSON.stringify(requestBody(text, pictures))]).size > maxBytes) {
    const whole = [pictures, earlierPictures()].map((some) => some.filter((one) => one.isWhole));
    const [largest] = whole.flatMap((some) => some.sort((a, b) => b.url.length - a.url.length));
    if (!largest) return false;
    await largest.shrink();
  }
  return true;
}

async function attachOne(file) {
  const picture = new Picture(file);
  if (!TABLE.images.types.includes(file.type)) {
    throw new Error(`${picture.name} is not an image of the type ${KINDS.join(", ")}`);
  }
  if (attached.length + earlierPictures().length >= TABLE.images.most) {
    throw new Error(`a conversation may have ${TABLE.images.most} images`);
  }
  await picture.read().catch(() => {
    throw new Error(`${picture.name} cannot be read as an image`);
  });
  if (!(await makeRoom("", [...attached, picture], SPARE))) {
    const most = TABLE.max_body_bytes / 2 ** 20;
    throw new Error(`${picture.name} does not fit: a conversation may have ${most} MiB in all`);
  }
  setAttached([...attached, picture]);
  $("status").textContent = `${picture.name} is attached`;
}

/* Attaches files one after the other; the first that is refused is told. */
async function attachAll(files) {
  const problems = [];
  $("refused").textContent = "";
  for (const file of files) {
    await attachOne(file).catch((error) => problems.push(error.message));
  }
  const others = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
  if (problems.length) $("refused").textContent = problems[0] + others;
}

/* Messages wait for `reading`, so that none leaves without its images. */
function attach(files) {
  const all = [...files]; // an event's list is emptied
  reading = reading.then(() => attachAll(all));
}

function setAttached(pictures) {
  attached = pictures;
  $("refused").textContent = "";
  $("attached").replaceChildren(...pictures.map((picture) => {
    const [item, button] = [make("li"), make("button", "", "×")];
    button.type = "button";
    button.title = `Remove ${picture.name}`;
    button.setAttribute("aria-label", button.title);
    button.addEventListener("click", () => remove(picture));
    item.append(picture.image(), button);
    return item;
  }));
}

function remove(picture) {
  const place = attached.indexOf(picture);
  setAttached(attached.filter((one) => one !== picture));
  const buttons = $("attached").querySelectorAll("button");
  (buttons[Math.min(place, buttons.length - 1)] ?? $("prompt")).focus();
  $("status").textContent = `${picture.name} is removed`;
}

/* Only chats have images. */
const showsImages = () => takesImages && mode() === "chat";

function showAttach() {
  for (const id of ["attach", "attached", "refused"]) $(id).hidden = !showsImages();
}

/* The images of a message on the page. */
function gallery(pictures) {
  const shown = make("div", "pictures");
  shown.append(...pictures.map((picture) => picture.image()));
  return shown;
}

$("files").accept = TABLE.images.types.join();
$("attach").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", () => {
  attach($("files").files);
  $("files").value = ""; // or the same file could not be chosen again
  $("prompt").focus();
});
document.addEventListener("paste", (event) => {
  const { files, types } = event.clipboardData;
  if (!showsImages() || !files.length || types.includes("text/plain")) return;
  event.preventDefault();
  attach(files);
});
const hasFiles = (event) => showsImages() && event.dataTransfer.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!hasFiles(event)) return;
  event.preventDefault();
  attach(event.dataTransfer.files);
});
