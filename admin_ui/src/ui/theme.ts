/** One neutral palette, one accent, system fonts with CJK, a 4 px grid. Colours in use are in `tokens.css`. */
import { createTheme, type MantineColorsTuple } from "@mantine/core";

const FONT =
  'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", "Noto Sans", sans-serif';
const MONO =
  'ui-monospace, SFMono-Regular, "SF Mono", Menlo, Consolas, "Liberation Mono", "Noto Sans Mono CJK SC", monospace';

const accent: MantineColorsTuple = [
  "#eef2fd", "#dbe4fb", "#b6c7f6", "#8fa8f1", "#7291ec", "#5a7de6", "#3b63d9", "#3054bd", "#27459c", "#1f377c",
];
const gray: MantineColorsTuple = [
  "#f8f8f9", "#f1f1f3", "#e6e6ea", "#d7d7dc", "#c3c3ca", "#9d9da6", "#74747e", "#5b5b65", "#3a3a42", "#1b1b20",
];
const dark: MantineColorsTuple = [
  "#ececef", "#c9c9d0", "#a2a2ac", "#7d7d88", "#3c3c45", "#2d2d34", "#232329", "#18181b", "#131316", "#0e0e10",
];

export const theme = createTheme({
  fontFamily: FONT,
  fontFamilyMonospace: MONO,
  headings: { fontFamily: FONT, fontWeight: "600" },
  colors: { accent, gray, dark },
  primaryColor: "accent",
  // White on a lighter one is hard to read.
  primaryShade: 6,
  defaultRadius: "sm",
  radius: { xs: "4px", sm: "6px", md: "8px", lg: "12px", xl: "16px" },
  spacing: { xs: "4px", sm: "8px", md: "12px", lg: "16px", xl: "24px" },
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "20px" },
  cursorType: "pointer",
  focusRing: "auto",
  components: {
    InputWrapper: { styles: { label: { marginBottom: 2 }, description: { marginBottom: 4 } } },
    Input: { defaultProps: { size: "sm" } },
    Tooltip: { defaultProps: { openDelay: 400, withArrow: false, fz: "xs" } },
    Button: { defaultProps: { size: "xs" } },
    ActionIcon: { defaultProps: { variant: "subtle", color: "gray", size: 32 } },
    Menu: { defaultProps: { shadow: "md", transitionProps: { duration: 0 } } },
    Select: { defaultProps: { comboboxProps: { transitionProps: { duration: 0 } } } },
  },
});
