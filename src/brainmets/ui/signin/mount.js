// What Streamlit calls on mount and on every update.

const forms = new WeakSet();

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".signin");
  if (forms.has(root)) return;
  forms.add(root);
  if (data.signed_in) new SignOut(root, data, () => window.location.assign("./"));
  else new SignIn(root, data, () => window.location.reload()); // the page reads the cookie as it starts
}
