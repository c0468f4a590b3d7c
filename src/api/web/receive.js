const files = document.getElementById("files");
const list = document.getElementById("list");
let filesLeft = Number(files.dataset.files);
let bytesLeft = Number(files.dataset.bytes);

function send(file) {
  return new Promise((resolve) => {
    const line = document.createElement("li");
    const bar = document.createElement("progress");
    const state = document.createElement("span");
    bar.max = Math.max(1, file.size);
    bar.value = 0;
    bar.setAttribute("aria-label", file.name);
    line.append(file.name + " ", bar, " ", state);
    list.append(line);
    const end = (text) => {
      bar.remove();
      state.textContent = text;
      resolve();
    };
    if (filesLeft < 1 || file.size > bytesLeft) {
      end("not sent: this link does not take that much");
      return;
    }
    filesLeft -= 1;
    bytesLeft -= file.size;
    const failed = (why) => {
      filesLeft += 1;
      bytesLeft += file.size;
      end("not sent: " + why);
    };
    const request = new XMLHttpRequest();
    request.upload.onprogress = (event) => (bar.value = event.loaded);
    request.onload = () => (request.status === 201 ? end(request.responseText) : failed(request.responseText));
    request.onerror = () => failed("the connection ended");
    request.open("PUT", location.pathname.replace(/\/$/, "") + "/" + encodeURIComponent(file.name));
    request.send(file);
  });
}

files.addEventListener("change", async () => {
  for (const file of [...files.files]) await send(file);
  files.value = "";
});
