// Takes photographs with the camera into the same file field that files are chosen in, and shows what is chosen.
// Without it the page works all the same: choose files, press the button.
"use strict";

const field = document.getElementById("photos");
const chosen = document.getElementById("chosen");
const view = document.getElementById("view");
const opener = document.getElementById("open-camera");
const MAX = 5;

function show() {
  for (const image of chosen.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  chosen.replaceChildren();
  Array.from(field.files).forEach((file, index) => {
    const item = document.createElement("li");
    const image = document.createElement("img");
    image.src = URL.createObjectURL(file);
    image.alt = `照片 ${index + 1} photograph ${index + 1}`;
    item.append(image);
    chosen.append(item);
  });
}

function add(blob) {
  const files = new DataTransfer();
  // The newest count: pressing once more replaces the oldest.
  for (const file of Array.from(field.files).slice(-(MAX - 1))) files.items.add(file);
  files.items.add(new File([blob], "camera.jpg", { type: "image/jpeg" }));
  field.files = files.files;
  show();
}

async function openCamera() {
  try {
    view.srcObject = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 960 } },
      audio: false,
    });
    await view.play();
    document.getElementById("camera").hidden = false;
    opener.hidden = true;
  } catch {
    document.getElementById("camera-failed").hidden = false;
  }
}

function shoot() {
  const canvas = document.createElement("canvas");
  canvas.width = view.videoWidth;
  canvas.height = view.videoHeight;
  canvas.getContext("2d").drawImage(view, 0, 0);
  canvas.toBlob((blob) => blob && add(blob), "image/jpeg", 0.92);
}

if (navigator.mediaDevices && navigator.mediaDevices.getUserMedia) {
  opener.hidden = false;
  opener.addEventListener("click", openCamera);
  document.getElementById("shoot").addEventListener("click", shoot);
}
field.addEventListener("change", show);
document.getElementById("enrol").addEventListener("submit", () => {
  document.getElementById("send").disabled = true;
  document.getElementById("wait").hidden = false;
});
