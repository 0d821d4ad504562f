// What Streamlit calls on mount and on every update.

const intakes = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".intake");
  let intake = intakes.get(root);
  if (!intake) {
    intake = new Intake(root, {
      uploaded: (id) => setTriggerValue("uploaded", id),
      started: (id) => setTriggerValue("started", id),
      unreachable: () => setTriggerValue("unreachable", true),
    });
    intakes.set(root, intake);
    intake.open(data);
  }
  return () => {
    intake.close();
    intakes.delete(root);
  };
}
