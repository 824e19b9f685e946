'use strict';
// Corrected VOC XML of the images of ticked suspects, in a zip that the page makes itself: stored files with CRC-32.
const CRCS = new Uint32Array(256).map((_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRCS[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function escapeXml(text) {
  const names = {'&': '&amp;', '<': '&lt;', '>': '&gt;'};
  return String(text).replace(/[&<>]/g, (letter) => names[letter]).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd');
}

// The objects of each image, by its number, as the chosen suspects (numbers) propose them.
function correct(data, chosen) {
  const corrected = new Map();
  for (const number of [...chosen].sort((a, b) => a - b)) {
    const suspect = data.suspects[number];
    if (!corrected.has(suspect.image)) {
      corrected.set(suspect.image, data.images[suspect.image].objects.map((each) => ({...each})));
    }
    const objects = corrected.get(suspect.image);
    if (suspect.object === null) objects.push({name: suspect.name, difficult: 0, box: suspect.box});
    else if (suspect.box === null) objects[suspect.object].name = null;
    else Object.assign(objects[suspect.object], {name: suspect.name, box: suspect.box});
  }
  for (const [image, objects] of corrected) corrected.set(image, objects.filter((each) => each.name !== null));
  return corrected;
}

function formatXml(image, objects) {
  const lines = ['<annotation>', `\t<filename>${escapeXml(image.id)}</filename>`];
  lines.push('\t<size>', `\t\t<width>${image.width}</width>`, `\t\t<height>${image.height}</height>`);
  lines.push('\t\t<depth>3</depth>', '\t</size>', '\t<segmented>0</segmented>');
  for (const each of objects) {
    lines.push('\t<object>', `\t\t<name>${escapeXml(each.name)}</name>`, `\t\t<difficult>${each.difficult}</difficult>`, '\t\t<bndbox>');
    ['xmin', 'ymin', 'xmax', 'ymax'].forEach((side, i) => lines.push(`\t\t\t<${side}>${each.box[i]}</${side}>`));
    lines.push('\t\t</bndbox>', '\t</object>');
  }
  return [...lines, '</annotation>', ''].join('\n');
}

// files: [name, text] each. (PKWARE's APPNOTE: local headers, central directory, its end; 0x800: names are UTF-8.)
function makeZip(files) {
  const parts = [], directory = [];
  let offset = 0;
  for (const [name, text] of files) {
    const path = new TextEncoder().encode(name), bytes = new TextEncoder().encode(text);
    const fields = new Uint8Array(26), view = new DataView(fields.buffer); // what both headers hold
    view.setUint16(0, 20, true);
    view.setUint16(2, 0x800, true);
    view.setUint16(8, 0x21, true); // 1 January 1980
    view.setUint32(10, crc32(bytes), true);
    view.setUint32(14, bytes.length, true);
    view.setUint32(18, bytes.length, true);
    view.setUint16(22, path.length, true);
    parts.push(new Uint8Array([0x50, 0x4b, 3, 4]), fields, path, bytes);
    const rest = new Uint8Array(14);
    new DataView(rest.buffer).setUint32(10, offset, true);
    directory.push(new Uint8Array([0x50, 0x4b, 1, 2, 20, 0]), fields, rest, path);
    offset += 30 + path.length + bytes.length;
  }
  const end = new Uint8Array(22), view = new DataView(end.buffer);
  end.set([0x50, 0x4b, 5, 6]);
  view.setUint16(8, files.length, true);
  view.setUint16(10, files.length, true);
  view.setUint32(12, directory.reduce((sum, part) => sum + part.length, 0), true);
  view.setUint32(16, offset, true);
  return [...parts, ...directory, end];
}

// The path in the zip of an image's annotation: as the image lies in its folder, and never out of it.
function pathOf(id) {
  const parts = id.split(/[\\/]/).filter((part) => part && part !== '.' && part !== '..');
  return `${parts.join('/') || 'image'}.xml`;
}

function correctedFiles(data, chosen) {
  return [...correct(data, chosen)].map(([i, objects]) => [pathOf(data.images[i].id), formatXml(data.images[i], objects)]);
}
