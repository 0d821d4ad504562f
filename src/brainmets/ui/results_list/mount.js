// What Streamlit calls on mount and on every update.

const lists = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".results_list");
  if (!lists.has(root)) {
    lists.set(root, new ResultsList(root, data, {
      open: (id) => setTriggerValue("opened", id),
      start: () => setTriggerValue("opened", ""),
    }));
  }
  return () => {
    lists.get(root)?.close();
    lists.delete(root);
  };
}
