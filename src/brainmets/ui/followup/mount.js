// What Streamlit calls on mount and on every update; the board lives as long as its node.

const boards = new WeakMap();

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".followup");
  let board = boards.get(root);
  if (!board || board.data.job !== data.job) {
    board?.close();
    board = new Board(root);
    boards.set(root, board);
    board.open(data);
  }
  return () => {
    board.close();
    boards.delete(root);
  };
}
