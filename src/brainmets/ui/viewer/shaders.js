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

vec3 slope(vec3 p) {
  return vec3(density(p + vec3(voxel.x, 0, 0)) - density(p - vec3(voxel.x, 0, 0)),
              density(p + vec3(0, voxel.y, 0)) - density(p - vec3(0, voxel.y, 0)),
              density(p + vec3(0, 0, voxel.z)) - density(p - vec3(0, 0, voxel.z)));
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

float shade(vec3 normal) {
  vec3 light = normalize(camera[2] + 0.45 * camera[1] - 0.35 * camera[0]);
  return 0.28 + 0.72 * max(dot(normal, light), 0.0);
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
        vec3 lit = tint.rgb * shade(normal);
        lit = mix(lit, glass, veil * 0.35);
        shown = vec4(mix(lit, vec3(0.0), 0.25 * (1.0 - tint.a)), 1.0);
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
        shown = vec4(vec3(0.80, 0.76, 0.72) * shade(normal), 1.0);
        return;
      }
    } else if (here > surface && veil == 0.0) {
      vec3 normal = -normalize(slope(p) + 1e-6);
      float rim = 1.0 - abs(dot(normal, camera[2]));
      veil = 0.13 + 0.72 * rim * rim;
      glass = vec3(0.62, 0.70, 0.76) * (0.35 + 0.65 * shade(normal));
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
