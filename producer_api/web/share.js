/** Hands the link of this page on: to the system's own sheet where there is one, to the clipboard anywhere. */

const $ = (id) => document.getElementById(id);

/** Binds the buttons `share` and `copy`, and the line `copied`. */
export function bindSharing() {
  $("share").hidden = !navigator.share;
  $("share").addEventListener("click", () => unlessRefused(share));
  $("copy").addEventListener("click", () => unlessRefused(copy));
}

async function share() {
  await navigator.share({ title: document.title, url: location.href });
}

async function copy() {
  await navigator.clipboard.writeText(location.href);
  $("copied").textContent = "Copied.";
}

/** No clipboard or sheet without https, or the listener said no: show what to copy. */
async function unlessRefused(action) {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    if (error.name !== "AbortError") $("copied").textContent = location.href;
  }
}
