/** Models look at pictures of about this many pixels a side; more would only be sent and kept for nothing. */
const LONGEST_SIDE = 1024;
const QUALITY = 0.85;

/** A picture as a `data:` URL of at most some 200 kB. */
export async function shrunk(file: Blob): Promise<string> {
  const picture = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(picture.width * scale);
  canvas.height = Math.round(picture.height * scale);
  const paint = canvas.getContext("2d");
  if (!paint) throw new Error("This browser cannot draw pictures.");
  // JPEG knows no transparency: what shows through is white.
  paint.fillStyle = "#fff";
  paint.fillRect(0, 0, canvas.width, canvas.height);
  paint.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return canvas.toDataURL("image/jpeg", QUALITY);
}
