/**
 * Screenshots of the page's main states, light, dark and on a phone, into the directory given as argument; against the
 * stack of TETHER_READY_FILE. The README's pictures come from here.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";
import { signIn, stack } from "./browser/live.js";
import { GALLERY } from "./browser/gallery.js";
import { configure } from "./browser/live.js";
