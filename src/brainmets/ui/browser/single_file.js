// The viewer in a file of its own: voxels are inside, nobody is asked, nothing is changed.

Service.prototype.bytes = async (path) => (await gunzipBase64(PARTS[path.split("/view/")[1]])).buffer;
Service.prototype.ask = async () => ({ others: [] });
Service.prototype.send = () => Promise.reject(new Refusal({ code: "E_SERVICE", detail: "This file has no service behind it." }));

const only = new Bench(document.querySelector(".bench"));
await only.open(DATA);
if (Object.keys(READINGS).length) {
  only.readings.load({ readings: READINGS });
  only.table.mark();
  only.redraw();
}
only.tools = only.reviewPanel = null; // their keys do nothing
