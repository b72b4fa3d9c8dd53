/** The points on a face, drawn over its picture: dragged by mouse or finger, or moved by the arrow keys. */

const REACH = 28; // pixels on the screen from which a point can be grasped
const RESTING = 700; // milliseconds after the last arrow key, when the point has come to rest
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const CHAINS = [
  ...["left", "right"].flatMap((side) => [
    [0, 1, 2, 3, 4, 5, 6, 7, 0].map((n) => `lid_${side}_${n}`),
    [0, 1, 2].map((n) => `brow_${side}_${n}`),
  ]),
  ["mouth_corner_left", "lip_upper_outer_left_2", "lip_upper_outer_left_1", "lip_upper_outer_left_0", "lip_upper_outer_middle",
    "lip_upper_outer_right_0", "lip_upper_outer_right_1", "lip_upper_outer_right_2", "mouth_corner_right",
    "lip_lower_outer_right_1", "lip_lower_outer_right_0", "lip_lower_outer_middle", "lip_lower_outer_left_0",
    "lip_lower_outer_left_1", "mouth_corner_left"],
  ["lip_upper_inner_left_1", "lip_upper_inner_left_0", "lip_upper_inner_middle", "lip_upper_inner_right_0", "lip_upper_inner_right_1"],
  ["lip_lower_inner_left_1", "lip_lower_inner_left_0", "lip_lower_inner_middle", "lip_lower_inner_right_0", "lip_lower_inner_right_1"],
  ["outline_left_1", "outline_left_2", "outline_left_3", "outline_left_4", "chin", "outline_right_4", "outline_right_3",
    "outline_right_2", "outline_right_1"],
  ["nose_bridge", "nose_mid", "nose_tip", "nose_base"],
  ["alar_left", "nose_base", "alar_right"],
];

const svg = (name, attributes = {}) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
};
const within = (value) => Math.min(1, Math.max(0, value));

export class Points {
  /** While the server works nothing can be moved. */
  frozen = false;
  #layer;
  #picture;
  #moved;
  #points = {};
  #lines = [];
  #circles = new Map();
  #held = null;
  #pushed = new Set(); // by keys, and not told yet
  #resting = 0;

  /** `board` is what people point at; `layer` in it holds the `picture` and grows with it. `moved(places)` is called
   * with the points that have been let go, by name. */
  constructor(board, layer, picture, moved) {
    this.#layer = layer;
    this.#picture = picture;
    this.#moved = moved;
    this.net = svg("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", role: "group" });
    this.net.setAttribute("aria-label", "Points on the face. Arrow keys move one by a pixel, with Shift by ten.");
    layer.append(this.net);
    board.onpointerdown = (event) => this.#grasp(event, board);
    board.onpointermove = (event) => this.#drag(event);
    board.onpointerup = board.onpointercancel = () => this.#drop();
    this.net.onkeydown = (event) => this.#push(event);
    this.net.addEventListener("focusout", ({ relatedTarget }) => this.net.contains(relatedTarget) || this.#rest());
  }

  /** Show `points` ({name: [x, y]}, fractions of the picture), of which `handles` can be moved; none: the whole picture
   * and no lines. Who was at a point by keyboard stays there. */
  show(points = {}, handles = []) {
    clearTimeout(this.#resting);
    this.#pushed.clear();
    this.#held = null;
    const focused = document.activeElement?.dataset.point;
    this.#points = { ...points };
    this.#lines = (handles.length ? CHAINS : []).map((names) => [svg("polyline"), names]);
    this.#circles = new Map(handles.map((name) => [name, this.#makeCircle(name)]));
    this.net.replaceChildren(...this.#lines.map(([line]) => line), ...this.#circles.values());
    this.#draw();
    this.#zoom(handles.map((name) => points[name]));
    this.#circles.get(focused)?.focus();
  }

  #makeCircle(name) {
    // To screen readers what arrow keys move is a slider.
    const circle = svg("circle", { r: 0.005, tabindex: 0, role: "slider", "aria-roledescription": "point" });
    circle.setAttribute("aria-label", name.replaceAll("_", " "));
    circle.dataset.point = name;
    return circle;
  }

  #draw() {
    const at = (name) => this.#points[name].map((value) => value.toFixed(4)).join(",");
    for (const [line, names] of this.#lines) line.setAttribute("points", names.map(at).join(" "));
    for (const [name, circle] of this.#circles) {
      const [x, y] = this.#points[name];
      circle.setAttribute("cx", x);
      circle.setAttribute("cy", y);
      circle.setAttribute("aria-valuenow", Math.round(100 * x));
      circle.setAttribute("aria-valuetext", `${(100 * x).toFixed(1)} across, ${(100 * y).toFixed(1)} down`);
      circle.classList.toggle("held", name === this.#held);
    }
  }

  /** Come near enough to the face to see each point; or back to the whole picture. */
  #zoom(places) {
    if (!places.length) return (this.#layer.style.transform = "");
    const [low, high] = [Math.min, Math.max].map((pick) => [0, 1].map((axis) => pick(...places.map((place) => place[axis]))));
    const scale = Math.min(0.86 / Math.max(high[0] - low[0], high[1] - low[1]), 3);
    const shift = [0, 1].map((axis) => Math.min(0, Math.max(1 - scale, 0.5 - (scale * (low[axis] + high[axis])) / 2)));
    this.#layer.style.transform = `translate(${shift.map((share) => `${100 * share}%`).join(",")}) scale(${scale})`;
  }

  /* By mouse or finger. */

  #place({ clientX, clientY }) {
    const { left, top, width, height } = this.#layer.getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height, width];
  }

  #grasp(event, board) {
    if (this.frozen || !this.#circles.size) return;
    const [x, y, width] = this.#place(event);
    const distance = (name) => Math.hypot(this.#points[name][0] - x, this.#points[name][1] - y) * width;
    const nearest = [...this.#circles.keys()].reduce((best, name) => (distance(name) < distance(best) ? name : best));
    if (distance(nearest) > REACH) return;
    event.preventDefault();
    this.#held = nearest;
    board.setPointerCapture(event.pointerId);
    this.#draw();
  }

  #drag(event) {
    if (!this.#held) return;
    this.#points[this.#held] = this.#place(event).slice(0, 2).map(within);
    this.#draw();
  }

  #drop() {
    const name = this.#held;
    if (!name) return;
    this.#held = null;
    this.#draw();
    this.#moved({ [name]: this.#points[name] });
  }

  /* By keyboard. */

  #push(event) {
    const [name, way] = [event.target.dataset.point, ARROWS[event.key]];
    if (!name || !way || this.frozen) return;
    event.preventDefault();
    const pixels = event.shiftKey ? 10 : 1;
    const sides = [this.#picture.naturalWidth, this.#picture.naturalHeight];
    this.#points[name] = this.#points[name].map((value, axis) => within(value + (pixels * way[axis]) / sides[axis]));
    this.#pushed.add(name);
    this.#draw();
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => this.#rest(), RESTING);
  }

  #rest() {
    clearTimeout(this.#resting);
    if (!this.#pushed.size) return;
    const places = Object.fromEntries([...this.#pushed].map((name) => [name, this.#points[name]]));
    this.#pushed.clear();
    this.#moved(places);
  }
}
