"""The page and what runs it: its files, the packages for browsers, headless Chromium and Node.js."""
