// What Streamlit calls on mount and on every update.

const ledgers = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".ledger");
  if (!ledgers.has(root)) {
    ledgers.set(root, new Ledger(root, data, {
      open: (id) => setTriggerValue("opened", id),
      start: () => setTriggerValue("opened", ""),
    }));
  }
  return () => {
    ledgers.get(root)?.close();
    ledgers.delete(root);
  };
}
