// Talking to the service: the cookie or token that vouches for the reader, and its refusals.

class Refusal extends Error {
  constructor(problem) {
    super(problem.detail ?? "no answer");
    this.code = problem.code ?? "E_SERVICE";
    this.status = problem.status ?? 0;
    this.found = problem.found ?? "";
    this.expected = problem.expected ?? "";
    this.remedy = problem.remedy ?? "";
  }

  get text() {
    return `${this.code}: ${this.message}`;
  }
}

const UNREACHABLE = {
  code: "E_SERVICE",
  detail: "No answer from the service; expected brainmets at its address; check that it runs.",
};

class Service {
  constructor({ base, token }) {
    this.base = base;
    this.token = token;
  }

  get headers() {
    return this.token ? { Authorization: `Bearer ${this.token}` } : {};
  }

  async send(path, { method = "GET", json = null, headers = {}, signal = null } = {}) {
    const options = { method, credentials: "include", headers: { ...this.headers, ...headers }, signal };
    if (json !== null) {
      options.body = JSON.stringify(json);
      options.headers["Content-Type"] = "application/json";
    }
    let answer;
    try {
      answer = await fetch(`${this.base}${path}`, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refusal(UNREACHABLE);
    }
    if (!answer.ok) throw new Refusal(await problemOf(answer));
    return answer;
  }

  async ask(path, options) {
    return (await this.send(path, options)).json();
  }

  async bytes(path) {
    return (await this.send(path)).arrayBuffer();
  }

  // An image as an address of this page: an <img> could not show who asks.
  async picture(path) {
    return URL.createObjectURL(await (await this.send(path)).blob());
  }

  // Files by form; fetch cannot say how much has gone out, XMLHttpRequest can.
  upload(path, files, progress, signal) {
    const form = new FormData();
    for (const file of files) form.append("files", file, file.name);
    const request = new XMLHttpRequest();
    request.open("POST", `${this.base}${path}`);
    request.withCredentials = true;
    for (const [name, value] of Object.entries(this.headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => progress(event.loaded, event.total));
    signal.addEventListener("abort", () => request.abort());
    return new Promise((resolve, reject) => {
      request.addEventListener("load", () => {
        const answer = parsed(request.responseText);
        if (request.status < 400 && answer) resolve(answer);
        else reject(new Refusal(answer?.code ? answer : UNREACHABLE));
      });
      request.addEventListener("error", () => reject(new Refusal(UNREACHABLE)));
      request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
      request.send(form);
    });
  }
}

async function problemOf(answer) {
  const problem = parsed(await answer.text());
  return problem?.code ? problem : { ...UNREACHABLE, status: answer.status };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// A refusal as the page shows it: its code, then what was found, expected, and to do.
function problemBox(problem) {
  const box = element("div", "problem");
  box.setAttribute("role", "alert");
  const found = problem.found || problem.message || problem.detail;
  const sentence = `${found[0]?.toUpperCase() ?? ""}${found.slice(1)}`.replace(/\.?$/, ".");
  box.append(element("strong", "", problem.code), element("p", "", sentence));
  if (problem.expected) box.append(element("p", "", `Expected ${problem.expected}.`));
  if (problem.remedy) box.append(element("p", "", `What to do: ${problem.remedy}.`));
  return box;
}
