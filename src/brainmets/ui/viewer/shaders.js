// The two programs of the 3-D view: a rectangle, and a ray through the head for each pixel.

const VERTEX = `#version 300 es
in vec2 corner;
out vec2 place;
void main() { place = corner; gl_Position = vec4(corner, 0.0, 1.0); }`;

// Orthographic rays in a box of half-size \`half_size\`, its longest edge 1. The first surface of the
// head is glass, or solid with the octant before the cursor cut away; lesions are solid in both.
const FRAGMENT = `#version 300 es
precision highp float;
precision highp sampler3D;
in vec2 place;
out vec4 shown;
uniform sampler3D head, lesions, ids;
uniform sampler2D palette;
uniform mat3 camera;      // columns: right, up, toward the viewer
uniform vec3 half_size, voxel, cut, cut_side;
uniform vec2 aspect, window;
uniform float zoom, surface, solid;
uniform int steps;

vec3 inside(vec3 p) { return p / (2.0 * half_size) + 0.5; }
float density(vec3 p) { return texture(head, inside(p)).r; }
float lesion(vec3 p) { return texture(lesions, inside(p)).r; }

// Over two voxels to each side, so that noise of the skin does not glitter.
vec3 slope(vec3 p) {
  vec3 x = vec3(2.0 * voxel.x, 0, 0), y = vec3(0, 2.0 * voxel.y, 0), z = vec3(0, 0, 2.0 * voxel.z);
  vec3 near = vec3(density(p + 0.5 * x) - density(p - 0.5 * x), density(p + 0.5 * y) - density(p - 0.5 * y),
                   density(p + 0.5 * z) - density(p - 0.5 * z));
  vec3 wide = vec3(density(p + x) - density(p - x), density(p + y) - density(p - y), density(p + z) - density(p - z));
  return near + wide;
}

vec3 lesion_slope(vec3 p) {
  return vec3(lesion(p + vec3(voxel.x, 0, 0)) - lesion(p - vec3(voxel.x, 0, 0)),
              lesion(p + vec3(0, voxel.y, 0)) - lesion(p - vec3(0, voxel.y, 0)),
              lesion(p + vec3(0, 0, voxel.z)) - lesion(p - vec3(0, 0, voxel.z)));
}

vec4 colour_of(vec3 p) {
  float id = texture(ids, inside(p)).r;
  if (id == 0.0) { // the smooth surface reaches half a voxel beyond the labels
    vec3 inward = lesion_slope(p);
    id = texture(ids, inside(p + normalize(inward + 1e-6) * voxel)).r;
  }
  return texture(palette, vec2((id * 255.0 + 0.5) / 256.0, 0.5));
}

// A main light from the upper left, a weaker one from the right, sky above and floor below; the
// reflection of the main light tells round from flat.
vec3 lit(vec3 colour, vec3 normal, float gloss) {
  vec3 main_light = normalize(0.9 * camera[2] + 0.75 * camera[1] - 0.6 * camera[0]);
  vec3 fill_light = normalize(0.5 * camera[2] - 0.1 * camera[1] + 0.9 * camera[0]);
  float sky = 0.5 + 0.5 * dot(normal, camera[1]);
  vec3 light = vec3(1.0, 0.97, 0.92) * 0.78 * max(dot(normal, main_light), 0.0)
             + vec3(0.55, 0.68, 0.85) * 0.28 * max(dot(normal, fill_light), 0.0)
             + mix(vec3(0.13, 0.11, 0.10), vec3(0.30, 0.33, 0.37), sky);
  vec3 middle = normalize(main_light + camera[2]);
  float shine = gloss * pow(max(dot(normal, middle), 0.0), 28.0);
  return min(colour * light + vec3(shine), vec3(1.0));
}

// How deep a surface lies in a fold: less light reaches it.
float open_sky(vec3 p, vec3 normal) {
  float hidden = 0.0;
  for (int n = 1; n <= 3; n++) {
    vec3 at = p + normal * voxel * (2.0 * float(n) + 1.0);
    hidden += smoothstep(0.6 * surface, 1.4 * surface, density(at)) / float(n + 1);
  }
  return 1.0 - 0.45 * clamp(hidden, 0.0, 1.0);
}

bool removed(vec3 p) {
  return solid > 0.5 && all(greaterThan((p - cut) * cut_side, vec3(0.0)));
}

void main() {
  vec3 from = camera[0] * place.x * aspect.x / zoom + camera[1] * place.y * aspect.y / zoom + camera[2] * 2.0;
  vec3 ray = -camera[2];
  vec3 a = (-half_size - from) / ray, b = (half_size - from) / ray;
  vec3 near = min(a, b), far = max(a, b);
  float t = max(max(near.x, near.y), near.z), end = min(min(far.x, far.y), far.z);
  shown = vec4(0.035, 0.043, 0.05, 1.0);
  if (t >= end) return;
  float stride = 1.74 / float(steps);
  vec3 glass = vec3(0.0);
  float veil = 0.0;
  bool outside = true, was_removed = true;
  for (int n = 0; n < 512; n++) {
    if (n >= steps || t >= end) break;
    vec3 p = from + ray * t;
    if (removed(p)) { was_removed = true; outside = false; t += stride; continue; }
    if (lesion(p) > 0.45) {
      vec4 tint = colour_of(p);
      if (tint.a > 0.0) {
        vec3 normal = -normalize(lesion_slope(p) + 1e-6);
        vec3 seen = mix(lit(tint.rgb, normal, 0.35), glass, veil * 0.35);
        shown = vec4(mix(seen, vec3(0.0), 0.25 * (1.0 - tint.a)), 1.0);
        return;
      }
    }
    float here = density(p);
    if (solid > 0.5) {
      if (was_removed && !outside) { // a face of the cut: the image itself
        float grey = clamp((here - window.x) / (window.y - window.x), 0.0, 1.0);
        if (here > 0.4 * surface) { shown = vec4(vec3(grey), 1.0); return; }
      } else if (here > surface) {
        vec3 normal = -normalize(slope(p) + 1e-6);
        shown = vec4(lit(vec3(0.84, 0.76, 0.70), normal, 0.10) * open_sky(p, normal), 1.0);
        return;
      }
    } else if (here > surface && veil == 0.0) {
      vec3 normal = -normalize(slope(p) + 1e-6);
      float rim = 1.0 - abs(dot(normal, camera[2]));
      veil = 0.26 + 0.66 * rim * rim;
      glass = 0.25 * vec3(0.62, 0.70, 0.76) + 0.85 * lit(vec3(0.62, 0.70, 0.76), normal, 0.45);
    }
    was_removed = false;
    t += stride;
  }
  shown.rgb = mix(shown.rgb, glass, veil);
}`;

// A program with the names of what it takes.
class Program {
  constructor(gl, vertex, fragment) {
    this.gl = gl;
    this.program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
        throw new Error(gl.getShaderInfoLog(shader));
      }
      gl.attachShader(this.program, shader);
    }
    gl.bindAttribLocation(this.program, 0, "corner");
    gl.linkProgram(this.program);
    gl.useProgram(this.program);
    this.places = new Map();
  }

  at(name) {
    if (!this.places.has(name)) this.places.set(name, this.gl.getUniformLocation(this.program, name));
    return this.places.get(name);
  }
}
