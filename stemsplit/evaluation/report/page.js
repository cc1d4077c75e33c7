"use strict";
// One player for each playable song. All versions of all stems play in sync on one clock, with those
// that are not selected muted, so that switching never changes the position.

const FADE = 0.005; // s, time constant of gain changes, which would click otherwise
const AHEAD = 0.05; // s between scheduling all sources and their common start
const STEP = 2; // s to skip by an arrow key

class Player {
  constructor(article) {
    this.article = article;
    this.length = Number(article.dataset.length);
    this.offset = 0; // s, the position while paused
    this.started = null; // context time of position 0; null: paused
    this.context = null;
    this.sources = [];
    this.frame = 0;
    const choices = [...article.querySelectorAll(".transport .switch input")];
    this.versions = choices.map((radio) => radio.value);
    const first = choices.find((radio) => radio.checked)?.value || "estimate";
    this.stems = [...article.querySelectorAll(".stem")].map((element) => this.makeStem(element, first)).filter(Boolean);
    this.find = (selector) => article.querySelector(selector);
    this.find(".play").addEventListener("click", () => this.toggle());
    this.slider = this.find(".position");
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    for (const radio of choices) radio.addEventListener("change", () => this.choose(radio.value));
    this.update();
    this.draw();
  }

  makeStem(element, version) {
    const sounds = [...element.querySelectorAll("script.sound")];
    if (!sounds.length) return null;
    const mixture = element.classList.contains("mixture"); // plays instead of the stems
    const stem = { element, sounds, mixture, version, solo: false, mute: false, gains: new Map(), buffers: new Map() };
    const on = (selector, act) => element.querySelector(selector)?.addEventListener("click", act);
    on(".solo", () => this.set(stem, "solo", !stem.solo));
    on(".mute", () => this.set(stem, "mute", !stem.mute));
    on(".alone", () => this.playAlone(stem));
    for (const button of element.querySelectorAll(".go")) {
      button.addEventListener("click", () => this.playFrom(Number(button.dataset.to)));
    }
    for (const radio of element.querySelectorAll(".switch input")) {
      radio.addEventListener("change", () => this.choose(radio.value, stem));
    }
    for (const plot of element.querySelectorAll(".plot")) {
      plot.addEventListener("click", (event) => {
        const box = plot.getBoundingClientRect();
        this.seek(((event.clientX - box.left) / box.width) * this.length);
      });
    }
    return stem;
  }

  get playing() {
    return this.started !== null;
  }

  get position() {
    if (!this.playing) return this.offset;
    return Math.min(this.length, Math.max(this.offset, this.context.currentTime - this.started));
  }

  async toggle() {
    if (this.playing) this.pause();
    else await this.play();
  }

  async play() {
    if (this.playing || this.preparing) return;
    for (const other of players) if (other !== this) other.pause();
    active = this;
    this.preparing = true;
    try {
      await this.prepare();
    } catch (error) {
      this.say(`This browser cannot play Opus (${error.message}).`);
      return;
    } finally {
      this.preparing = false;
    }
    if (this.position >= this.length) this.offset = 0;
    this.start();
    this.update();
    this.draw();
  }

  pause() {
    if (!this.playing) return;
    this.offset = this.position;
    this.stop();
    this.update();
    this.draw();
  }

  seek(position) {
    const playing = this.playing;
    if (playing) this.stop();
    this.offset = Math.min(this.length, Math.max(0, position));
    if (playing) this.start();
    this.draw();
  }

  async prepare() {
    if (this.context === null) {
      const context = new AudioContext();
      this.say("Preparing the sound …");
      for (const stem of this.stems) {
        for (const sound of stem.sounds) {
          const bytes = Uint8Array.from(atob(sound.textContent), (letter) => letter.charCodeAt(0));
          stem.buffers.set(sound.dataset.version, await context.decodeAudioData(bytes.buffer));
          const gain = context.createGain();
          gain.gain.value = 0;
          gain.connect(context.destination);
          stem.gains.set(sound.dataset.version, gain);
        }
      }
      this.context = context;
      this.say("");
    }
    await this.context.resume();
  }

  start() {
    const time = this.context.currentTime + AHEAD;
    this.started = time - this.offset;
    this.sources = this.stems.flatMap((stem) =>
      [...stem.buffers].map(([version, buffer]) => {
        const source = this.context.createBufferSource();
        source.buffer = buffer;
        source.connect(stem.gains.get(version));
        source.start(time, this.offset);
        return source;
      }),
    );
  }

  stop() {
    this.started = null;
    for (const source of this.sources) source.stop();
    this.sources = [];
  }

  /* Select a version of all stems, or of one; stems without that version are silent. */
  choose(version, only) {
    const one = only && only.version !== "mixture"; // no stem plays with the mixture
    for (const stem of one ? [only] : this.stems) stem.version = version;
    this.update();
  }

  has(stem, version) {
    return stem.sounds.some((sound) => sound.dataset.version === version);
  }

  set(stem, what, value) {
    stem[what] = value;
    this.update();
  }

  async playAlone(stem) {
    if (stem.mixture) {
      this.choose("mixture");
    } else {
      if (stem.version === "mixture") this.choose(this.versions[0]);
      for (const other of this.stems) other.solo = other === stem;
      stem.mute = false;
    }
    this.update();
    await this.play();
  }

  async playFrom(position) {
    this.seek(position);
    await this.play();
  }

  /* Update gains and controls to match the selection. */
  update() {
    const anySolo = this.stems.some((stem) => stem.solo);
    for (const stem of this.stems) {
      const chosen = !stem.mute && (stem.solo || stem.mixture || !anySolo);
      const audible = chosen && this.has(stem, stem.version);
      for (const [version, gain] of stem.gains) {
        const target = audible && version === stem.version ? 1 : 0;
        gain.gain.setTargetAtTime(target, this.context ? this.context.currentTime : 0, FADE);
      }
      stem.element.classList.toggle("silent", !audible);
      for (const what of ["solo", "mute"]) {
        stem.element.querySelector(`.${what}`)?.setAttribute("aria-pressed", String(stem[what]));
      }
      for (const radio of stem.element.querySelectorAll(".switch input")) radio.checked = radio.value === stem.version;
      for (const figure of stem.element.querySelectorAll("figure")) {
        figure.classList.toggle("chosen", figure.dataset.version === stem.version);
      }
    }
    for (const radio of this.article.querySelectorAll(".transport .switch input")) {
      radio.checked = this.stems.every((stem) => stem.mixture || stem.version === radio.value);
    }
    this.article.classList.toggle("playing", this.playing);
    this.find(".play").setAttribute("aria-label", this.playing ? "Pause" : "Play");
  }

  /* Draw the position, on every frame while playing. */
  draw() {
    if (this.playing && this.position >= this.length) {
      this.stop();
      this.offset = 0;
      this.update();
    }
    const position = this.position;
    const text = `${Math.floor(position / 60)}:${String(Math.floor(position % 60)).padStart(2, "0")}`;
    const now = this.find(".now");
    if (now.textContent !== text) {
      now.textContent = text;
      this.slider.setAttribute("aria-valuetext", text);
    }
    this.slider.value = position;
    const share = (100 * position) / this.length;
    for (const head of this.article.querySelectorAll(".head")) head.style.transform = `translateX(${share}%)`;
    cancelAnimationFrame(this.frame);
    if (this.playing) this.frame = requestAnimationFrame(() => this.draw());
  }

  say(text) {
    this.find(".state").textContent = text;
  }
}

const players = [];
let active = null;
for (const article of document.querySelectorAll("article.playable")) players.push(new Player(article));
active = players[0] || null;

document.addEventListener("keydown", (event) => {
  if (!active || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target;
  const article = target.closest("article.playable");
  if (article) active = players.find((player) => player.article === article);
  const stem = active.stems.find((one) => one.element.contains(target));
  const version = active.versions[Number(event.key) - 1];
  if (event.key === " ") {
    // Buttons, links and summaries keep their own use of the space bar.
    if (target.closest("button, summary, a")) return;
    active.toggle();
  } else if (version) {
    active.choose(version, stem && active.has(stem, version) ? stem : undefined);
  } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    // Arrow keys select in a radio group, and scroll in a table.
    if (target.closest(".switch, .scroll")) return;
    active.seek(active.position + (event.key === "ArrowLeft" ? -STEP : STEP));
  } else if (stem && !stem.mixture && (event.key === "s" || event.key === "m")) {
    const what = event.key === "s" ? "solo" : "mute";
    active.set(stem, what, !stem[what]);
  } else {
    return;
  }
  event.preventDefault();
});
