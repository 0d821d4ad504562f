// What Streamlit calls on mount and on every update; the workbench lives as long as its node.

const benches = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".bench");
  let bench = benches.get(root);
  if (!bench || bench.data.job !== data.job) {
    bench?.close();
    bench = new Bench(root, { located: () => {}, saved: (value) => setTriggerValue("saved", value) });
    benches.set(root, bench);
    bench.open(data);
  }
  return () => {
    bench.close();
    benches.delete(root);
  };
}
