// Requests to the service. Whatever goes wrong becomes an Error whose message is a sentence for people.

/** What the service answered instead of what was asked for. */
export class ServiceError extends Error {}

async function send(path, { method = "GET", body, signal } = {}) {
  const headers = {};
  if (body !== undefined && !(body instanceof FormData)) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(`api/${path}`, { method, headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The service does not answer. Is it still running?");
  }
  if (!response.ok) throw new ServiceError(await sentence(response));
  return response;
}

async function sentence(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The service answered ${response.status} ${response.statusText}.`;
  }
}

/** Returns what the service has at a path. */
export async function get(path, signal) {
  return (await send(path, { signal })).json();
}

/** Returns the picture that the service has at a path. */
export async function getPicture(path) {
  return createImageBitmap(await (await send(path)).blob());
}

/** Returns what the service answers to data or to a form. */
export async function post(path, body, signal) {
  return (await send(path, { method: "POST", body, signal })).json();
}

/** Returns the file that the service makes of data: {blob, name}. */
export async function postForFile(path, body, signal) {
  const response = await send(path, { method: "POST", body, signal });
  const name = /filename="?([^";]+)"?/.exec(response.headers.get("Content-Disposition") ?? "");
  return { blob: await response.blob(), name: name ? name[1] : path.split("/").at(-1) };
}

/** Yields the server-sent events that the service answers with: {event, data}. */
export async function* postForEvents(path, body, signal) {
  const response = await send(path, { method: "POST", body, signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value.replaceAll("\r\n", "\n");
    const events = text.split("\n\n");
    text = events.pop();
    for (const lines of events) {
      const fields = Object.fromEntries(lines.split("\n").map((line) => line.split(/:\s?(.*)/s, 2)));
      if (fields.data === undefined) continue;
      const data = JSON.parse(fields.data);
      if (fields.event === "error") throw new ServiceError(data.error.message);
      yield { event: fields.event, data };
    }
  }
}

/** Returns the path of something that has a name: named("problems", "zelda", "play"). */
export function named(kind, name, what) {
  return `${kind}/${encodeURIComponent(name)}/${what}`;
}
