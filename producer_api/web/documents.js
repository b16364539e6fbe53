/** Text out of what is dropped, chosen or named by its address. */

import { ask } from "./words.js";

const LONE_ADDRESS = /^https?:\/\/[^\s]+$/i;

/** Browsers do not know the type of every file they are given. */
const TYPES = {
  md: "text/markdown",
  markdown: "text/markdown",
  htm: "text/html",
  html: "text/html",
  xhtml: "application/xhtml+xml",
  epub: "application/epub+zip",
  docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  txt: "text/plain",
};

const extension = (name) => name.toLowerCase().match(/\.([a-z0-9]+)$/)?.[1] ?? "";

/** The address, if this text is one and nothing else; else "". */
export function loneAddress(text) {
  const trimmed = text.trim();
  return LONE_ADDRESS.test(trimmed) ? trimmed : "";
}

/** File -> {body: {title, text, language}} or {problem}. Plain UTF-8 is read here, the rest by the server. */
export async function readFile(file) {
  const type = TYPES[extension(file.name)] ?? file.type;
  if (type === "text/plain") {
    const text = await utf8(file);
    if (text !== null) return { body: { title: file.name.replace(/\.[^.]+$/, ""), text, language: null } };
  }
  return ask(`/v1/texts?name=${encodeURIComponent(file.name)}`, {
    method: "POST",
    headers: { "Content-Type": type || "application/octet-stream" },
    body: file,
  });
}

/** Address -> {body: {title, text, language}} or {problem}: the server reads the page. */
export function readAddress(url) {
  const headers = { "Content-Type": "application/json" };
  return ask("/v1/texts", { method: "POST", headers, body: JSON.stringify({ url }) });
}

async function utf8(file) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch (error) {
    if (error instanceof TypeError) return null; // another encoding
    throw error;
  }
}
