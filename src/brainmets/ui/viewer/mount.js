// What Streamlit calls on mount and on every update; the workbench lives as long as its node.

const key = (data) => `${data.job} ${data.other?.job ?? ""}`;
const benches = new WeakMap();

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".bench");
  let bench = benches.get(root);
  if (!bench || key(bench.data) !== key(data)) {
    bench?.close();
    bench = new Bench(root);
    benches.set(root, bench);
    bench.open(data);
  }
  return () => {
    bench.close();
    benches.delete(root);
  };
}
