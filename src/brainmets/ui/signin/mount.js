// What Streamlit calls on mount and on every update.

const forms = new WeakSet();

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".signin");
  if (forms.has(root)) return;
  forms.add(root);
  new SignIn(root, data, () => window.location.reload()); // the page reads the cookie as it starts
}
