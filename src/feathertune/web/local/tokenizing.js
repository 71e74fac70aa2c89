// @huggingface/tokenizers 0.2, made to give the tokens of the tokenizers library, from which it differs in silence where
//   * a word in Greek capitals ends in a sigma: JavaScript lowers it to a final sigma, the library letter by letter;
//   * ideographs lie beyond U+FFFF: BERT's are parted, but the package looks at halves of them;
//   * the pre-tokenizers Whitespace and Digits meet a letter or digit outside ASCII, which the package takes for none.
// The parity gate compares the tokens of every text of the validation split.

import { Tokenizer } from "./vendor/tokenizers.js";

// The ranges beyond U+FFFF of BERT's own list, as the library has it.
const RARE_IDEOGRAPH = /[\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\u{2F800}-\u{2FA1F}]/gu;
const LETTER = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}"; // Rust's \w
const WHITESPACE = split(`[${LETTER}]+|[^${LETTER}\\s]+`, "Removed", true);

/** A function that gives the token ids of a text; its second argument is whether those around it are wanted. */
export function tokenizing(file, config) {
  const normalizers = parts(file.normalizer, "normalizers");
  const lowers = normalizers.some(({ type, lowercase }) => type === "Lowercase" || (type === "BertNormalizer" && lowercase));
  const partsIdeographs = normalizers.some(
    ({ type, handle_chinese_chars }) => type === "BertNormalizer" && handle_chinese_chars,
  );
  const tokenizer = new Tokenizer({ ...file, pre_tokenizer: withLetters(file.pre_tokenizer) }, config);
  return (text, around = true) => {
    if (lowers) text = text.replaceAll("\u03a3", "\u03c3");
    if (partsIdeographs) text = text.replace(RARE_IDEOGRAPH, " $& ");
    return tokenizer.encode(text, { add_special_tokens: around }).ids;
  };
}

/** A component of tokenizer.json, or the parts of a sequence. */
function parts(component, name) {
  if (!component) return [];
  return component.type === "Sequence" ? component[name].flatMap((part) => parts(part, name)) : [component];
}

function withLetters(component) {
  if (component?.type === "Whitespace") return WHITESPACE;
  if (component?.type === "Digits") return split(component.individual_digits ? "\\p{N}" : "\\p{N}+", "Isolated", false);
  if (component?.type !== "Sequence") return component;
  return { ...component, pretokenizers: component.pretokenizers.map(withLetters) };
}

function split(regex, behavior, invert) {
  return { type: "Split", pattern: { Regex: regex }, behavior, invert };
}
