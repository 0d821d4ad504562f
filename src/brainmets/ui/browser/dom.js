// Making and filling elements; numbers and sizes as people read them.

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function button(text, act, { title = "", className = "" } = {}) {
  const made = element("button", className, text);
  made.type = "button";
  if (title) made.title = title;
  made.addEventListener("click", act);
  return made;
}

function bytesText(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const steps = [["kB", 1e3], ["MB", 1e6], ["GB", 1e9]];
  const [unit, size] = steps.find(([, limit]) => bytes < limit * 1000) ?? steps[2];
  return `${(bytes / size).toFixed(bytes < size * 10 ? 1 : 0)} ${unit}`;
}

function secondsText(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} min`;
}

const SEQUENCE_NAMES = {
  t1c: "T1 with contrast", t1n: "T1 without contrast", t2w: "T2", t2f: "T2 FLAIR",
};
