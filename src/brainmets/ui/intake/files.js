// What was dropped, pasted or chosen, as a plain list of files; folders are walked.

const HIDDEN = /^(\.|__MACOSX|Thumbs\.db$|desktop\.ini$)/i;

async function filesOfDrop(transfer) {
  // entries must be taken before the first await: the transfer is emptied after the event
  const entries = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const lists = await Promise.all(entries.filter(Boolean).map(filesOfEntry));
  return shown(lists.flat());
}

async function filesOfEntry(entry) {
  if (entry instanceof File) return [entry];
  if (HIDDEN.test(entry.name)) return [];
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // a reader hands out at most a hundred entries at a time
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map(filesOfEntry))).flat();
}

function shown(files) {
  return [...files].filter((file) => !HIDDEN.test(file.name));
}

function summary(files) {
  const names = files.slice(0, 3).map((file) => file.name).join(", ");
  return files.length > 3 ? `${names} and ${files.length - 3} more` : names;
}
