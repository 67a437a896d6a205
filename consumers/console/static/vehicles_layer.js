// All vehicles as one WebGL layer of the map: points with an arrow, a disc or a ring, which go from where they were to where they are.
import { fleet, OFFENDING } from './fleet.js';

const VERTEX = `
attribute vec2 a_from; attribute vec2 a_to; attribute float a_heading; attribute float a_state;
uniform mat4 u_matrix; uniform float u_progress; uniform float u_size; uniform float u_bearing; uniform vec4 u_colours[4];
varying vec2 v_turn; varying vec4 v_colour; varying float v_ring; varying float v_arrow;
void main() {
  gl_Position = u_matrix * vec4(mix(a_from, a_to, u_progress), 0.0, 1.0);
  v_arrow = (a_state == 0.0 || a_state == 2.0) && a_heading < 361.0 ? 1.0 : 0.0;
  gl_PointSize = u_size * (a_state == 2.0 ? 1.3 : a_state == 0.0 ? 1.0 : 0.72) * (v_arrow > 0.5 ? 1.0 : 0.9);
  float angle = radians(a_heading) - u_bearing;
  v_turn = vec2(cos(angle), sin(angle));
  v_colour = u_colours[int(a_state)];
  v_ring = a_state > 2.5 ? 1.0 : 0.0;
}`;
const FRAGMENT = `
precision mediump float;
uniform vec4 u_halo;
varying vec2 v_turn; varying vec4 v_colour; varying float v_ring; varying float v_arrow;
void main() {
  vec2 p = gl_PointCoord * 2.0 - 1.0;
  float d;
  if (v_arrow > 0.5) {
    vec2 q = vec2(p.x * v_turn.x + p.y * v_turn.y, p.y * v_turn.x - p.x * v_turn.y);
    d = max(abs(q.x) * 1.7 - (q.y + 0.85) * 0.9, q.y - 0.62 + (0.34 - abs(q.x)) * 0.75);
  } else d = 0.9 * length(p) - 0.62;
  if (d > 0.26) discard;
  float inside = 1.0 - smoothstep(-0.06, 0.06, d);
  float halo = 1.0 - smoothstep(0.08, 0.26, d);
  if (v_ring > 0.5) inside *= smoothstep(-0.34, -0.22, d);
  gl_FragColor = mix(vec4(u_halo.rgb, u_halo.a * halo), v_colour, inside);
  gl_FragColor.rgb *= gl_FragColor.a;
}`;
const FLOATS = 6;
const ATTRIBUTES = [['a_from', 2, 0], ['a_to', 2, 2], ['a_heading', 1, 4], ['a_state', 1, 5]];
const DRAWN = [3, 1, 0, 2]; // states from the least to the most important: the last lies above
const SLOW_FRAME_MS = 60;
const LEAST_PX = 1; // on a scale where nobody goes further in a tick, nothing is seen of the way
const mercatorY = (lat) => 0.5 - Math.log(Math.tan(Math.PI / 4 + (lat * Math.PI) / 360)) / (2 * Math.PI);

/** How large a vehicle is drawn, in pixels: small where many stand close together. */
const sizeAt = (zoom) => Math.max(5, Math.min(26, 2.5 * zoom - 16));

function shader(gl, kind, source) {
  const made = gl.createShader(kind);
  gl.shaderSource(made, source);
  gl.compileShader(made);
  return made;
}

export class VehiclesLayer {
  constructor(colours) {
    Object.assign(this, { id: 'vehicles', type: 'custom', renderingMode: '2d', colours, count: 0, origin: [0, 0], tickedAt: 0, moves: !matchMedia('(prefers-reduced-motion: reduce)').matches, slow: 0 });
    [this.data, this.matrix] = [new Float32Array(0), new Float32Array(16)];
    this.isHidden = false;
  }

  onAdd(map, gl) {
    this.map = map;
    this.program = gl.createProgram();
    gl.attachShader(this.program, shader(gl, gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(this.program, shader(gl, gl.FRAGMENT_SHADER, FRAGMENT));
    gl.linkProgram(this.program);
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(this.program));
    this.places = Object.fromEntries(ATTRIBUTES.map(([name]) => [name, gl.getAttribLocation(this.program, name)]));
    this.uniforms = Object.fromEntries(['u_matrix', 'u_progress', 'u_size', 'u_bearing', 'u_colours', 'u_halo'].map((name) => [name, gl.getUniformLocation(this.program, name)]));
    this.buffer = gl.createBuffer();
    this.isNew = true;
  }

  /** Take over the fleet's columns: once a tick, whatever the number of frames. */
  update(isTick = true) {
    if (!fleet.count || this.isHidden || fleet.clusters) { this.count = 0; this.map?.triggerRepaint(); return; }
    if (this.data.length < fleet.count * FLOATS) this.data = new Float32Array(fleet.count * 2 * FLOATS);
    this.origin = [(fleet.lon[0] / 1e7 + 180) / 360, mercatorY(fleet.lat[0] / 1e7)];
    let at = 0, farthest = 0;
    for (const state of DRAWN) {
      for (let n = 0; n < fleet.count; n += 1) {
        if (fleet.state[n] !== state || !fleet.known[n]) continue;
        this.data[at] = (fleet.fromLon[n] / 1e7 + 180) / 360 - this.origin[0];
        this.data[at + 1] = mercatorY(fleet.fromLat[n] / 1e7) - this.origin[1];
        this.data[at + 2] = (fleet.lon[n] / 1e7 + 180) / 360 - this.origin[0];
        this.data[at + 3] = mercatorY(fleet.lat[n] / 1e7) - this.origin[1];
        this.data[at + 4] = fleet.heading[n];
        this.data[at + 5] = state;
        farthest = Math.max(farthest, Math.abs(this.data[at + 2] - this.data[at]), Math.abs(this.data[at + 3] - this.data[at + 1]));
        at += FLOATS;
      }
    }
    Object.assign(this, { count: at / FLOATS, farthest });
    this.isNew = true;
    if (isTick) this.tickedAt = performance.now();
    this.map?.triggerRepaint();
  }

  render(gl, { defaultProjectionData }) {
    if (!this.count) return;
    const began = performance.now();
    if (this.drewAt && began - this.drewAt < 500) this.slow = 0.9 * this.slow + 0.1 * (began - this.drewAt);
    this.drewAt = began;
    const isSeen = this.farthest * 512 * 2 ** this.map.getZoom() >= LEAST_PX;
    const progress = this.moves && isSeen && this.slow < SLOW_FRAME_MS ? Math.min(1, (began - this.tickedAt) / 1000) : 1;
    gl.useProgram(this.program);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    if (this.isNew) gl.bufferData(gl.ARRAY_BUFFER, this.data.subarray(0, this.count * FLOATS), gl.DYNAMIC_DRAW);
    this.isNew = false;
    for (const [name, size, offset] of ATTRIBUTES) {
      gl.enableVertexAttribArray(this.places[name]);
      gl.vertexAttribPointer(this.places[name], size, gl.FLOAT, false, FLOATS * 4, offset * 4);
    }
    gl.uniformMatrix4fv(this.uniforms.u_matrix, false, translated(this.matrix, defaultProjectionData.mainMatrix, this.origin));
    gl.uniform1f(this.uniforms.u_progress, progress);
    gl.uniform1f(this.uniforms.u_size, devicePixelRatio * sizeAt(this.map.getZoom()));
    gl.uniform1f(this.uniforms.u_bearing, (this.map.getBearing() * Math.PI) / 180);
    gl.uniform4fv(this.uniforms.u_colours, this.colours.states);
    gl.uniform4fv(this.uniforms.u_halo, this.colours.halo);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.drawArrays(gl.POINTS, 0, this.count);
    if (progress < 1) this.map.triggerRepaint();
  }

  /** The vehicle nearest to a point of the screen, no further away than so many pixels; the offending win. */
  nearest({ x, y }, within = 14) {
    if (this.isHidden || fleet.clusters) return null;
    let best = null, least = within * within;
    const west = this.map.unproject([x - within, y + within]), east = this.map.unproject([x + within, y - within]);
    for (let n = 0; n < fleet.count; n += 1) {
      const lon = fleet.lon[n] / 1e7, lat = fleet.lat[n] / 1e7;
      if (lon < west.lng || lon > east.lng || lat < west.lat || lat > east.lat || !fleet.known[n]) continue;
      const at = this.map.project([lon, lat]);
      const apart = ((at.x - x) ** 2 + (at.y - y) ** 2) * (fleet.state[n] === OFFENDING ? 0.3 : 1);
      if (apart < least) [best, least] = [n, apart];
    }
    return best;
  }
}

/** Makes a matrix that first moves by an origin: in double precision, so that positions near to it may be single. */
function translated(made, m, [x, y]) {
  made.set(m);
  for (let row = 0; row < 4; row += 1) made[12 + row] = m[row] * x + m[4 + row] * y + m[12 + row];
  return made;
}
