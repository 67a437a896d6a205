// Language and theme, before anything is painted; a classic script in the head. Kept in this browser, else as the browser prefers.
(() => {
  const asked = new URLSearchParams(location.search);
  const kept = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const root = document.documentElement;
  const lang = () => asked.get('lang') || kept('lang') || (navigator.language.startsWith('zh') ? 'zh' : 'en');
  const theme = () => asked.get('theme') || kept('theme') || (dark.matches ? 'dark' : 'light');
  const apply = () => { root.lang = lang() === 'zh' ? 'zh-CN' : 'en'; root.dataset.theme = theme() === 'dark' ? 'dark' : 'light'; };
  apply();
  const changed = () => { apply(); dispatchEvent(new Event('prefs')); };
  dark.addEventListener('change', changed);
  window.prefs = {
    get lang() { return root.lang === 'zh-CN' ? 'zh' : 'en'; },
    get theme() { return root.dataset.theme; },
    set(key, value) { asked.delete(key); try { localStorage.setItem(key, value); } catch { asked.set(key, value); } changed(); },
  };
})();
