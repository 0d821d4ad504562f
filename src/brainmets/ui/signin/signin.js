// Signing in: the key goes to the service once, for a cookie that no script can read.

const UNAUTHORISED = 401;
const WRONG_KEY = {
  code: "E_UNAUTHORISED",
  found: "this key is not known here",
  expected: "the whole key as it was given to you, without blanks",
  remedy: "copy it again, or ask the operator of this service for a new one",
};

class SignIn {
  constructor(root, data, done) {
    this.service = new Service({ base: data.base, token: "" });
    this.done = done;
    this.key = element("input");
    Object.assign(this.key, { type: "password", autocomplete: "current-password", required: true });
    this.key.setAttribute("aria-label", "API key");
    this.send = element("button", "primary", "Sign in");
    this.send.type = "submit";
    this.message = element("div");
    const form = element("form", "panel");
    const row = element("div", "row");
    row.append(this.key, this.send);
    form.append(
      element("p", "lead", "Sign in"),
      element("p", "hint", "This service asks for an API key. It is sent once and not kept in the browser; you stay signed in for a working day."),
      row, this.message);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#try();
    });
    root.replaceChildren(form);
    root.dataset.ready = "yes";
    this.key.focus();
  }

  async #try() {
    this.send.disabled = true;
    try {
      await this.service.send("/v1/session", {
        method: "POST", headers: { Authorization: `Bearer ${this.key.value.trim()}` },
      });
      this.done();
    } catch (error) {
      this.message.replaceChildren(problemBox(error.status === UNAUTHORISED ? WRONG_KEY : error));
      this.send.disabled = false;
      this.key.select();
    }
  }
}

// Signing out, on every page of whoever is signed in.
class SignOut {
  constructor(root, data, done) {
    const service = new Service({ base: data.base, token: "" });
    root.classList.add("out");
    root.replaceChildren(button("Sign out", async () => {
      await service.send("/v1/session", { method: "DELETE" }).catch(() => {}); // ended by itself
      done();
    }));
    root.dataset.ready = "out";
  }
}
