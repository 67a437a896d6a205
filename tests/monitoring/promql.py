"""Reads as much of PromQL as it takes to say which series and labels an expression names. Whether it is well-formed is promtool's business."""

import re
from itertools import pairwise
from typing import NamedTuple

TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[A-Za-z_:][\w:]*|\d[\w.]*|[=!<>~]+|\S')
GROUPINGS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = {"and", "or", "unless", "offset", "bool", "inf", "nan"}
AGGREGATIONS = {"sum", "min", "max", "avg", "count", "group", "topk", "bottomk", "quantile", "stddev"}
LABEL_MAKERS = {"label_replace", "label_join"}


def in_namespace(expr, namespace):
    """The same with one more matcher in every selector, as the Prometheus Operator puts it there (``enforcedNamespaceLabel``).

    >>> in_namespace('sum by (city) (rate(a_total{kind!="x"}[5m] offset 1h)) > on (city) max(b) or vector(0)', "n")
    'sum by (city) (rate(a_total{namespace="n", kind!="x"}[5m] offset 1h)) > on (city) max(b{namespace="n"}) or vector(0)'
    """
    found, made, last, skip_to = list(TOKEN.finditer(expr)), [], 0, ""
    for place, token in enumerate(found):
        word, following = token[0], found[place + 1][0] if place + 1 < len(found) else ""
        if skip_to:
            skip_to = "" if word == skip_to else skip_to
        elif word in GROUPINGS and following == "(":
            skip_to = ")"
        elif word in {"{", "["}:
            skip_to = {"{": "}", "[": "]"}[word]
        elif Reader.is_name(word) and following != "(" and word not in WORDS | GROUPINGS | AGGREGATIONS:
            end = found[place + 1].end() if following == "{" else token.end()
            made += [expr[last:end], f'namespace="{namespace}", ' if following == "{" else f'{{namespace="{namespace}"}}']
            last = end
    return "".join(made) + expr[last:]


class Selector(NamedTuple):
    """A metric, the labels by which its series are chosen, and the function right around it."""

    name: str
    labels: set
    function: str


class Parsed(NamedTuple):
    """What an expression names. ``used``: labels in by(), on() and the like; ``kept``: those that may be in its result; ``created``: new ones."""

    selectors: list
    used: set
    kept: set
    created: set
    aggregates: bool
    signs: set


def parsed(expr):
    """Read an expression.

    >>> query = parsed('sum by (city) (rate(a_total{city=~"$city", kind!="x"}[5m])) > 0')
    >>> [(one.name, sorted(one.labels), one.function) for one in query.selectors], query.used
    ([('a_total', ['city', 'kind'], 'rate')], {'city'})
    """
    return Reader(TOKEN.findall(expr)).read()


class Reader:
    """Goes through the tokens once, with the functions around the present one on a stack."""

    def __init__(self, tokens):
        self.tokens, self.place, self.around = tokens, 0, []
        self.selectors, self.used, self.kept, self.created = [], set(), set(), set()

    def read(self):
        while self.place < len(self.tokens):
            self.step(self.tokens[self.place])
        aggregates = bool(AGGREGATIONS & set(self.tokens))
        return Parsed(self.selectors, self.used, self.kept | self.created, self.created, aggregates, set(self.tokens) & {"@"})

    def step(self, token):
        following = self.tokens[self.place + 1] if self.place + 1 < len(self.tokens) else ""
        self.place += 1
        if token in GROUPINGS and following == "(":
            self.labels(token)
        elif token == "(":
            self.around.append([self.tokens[self.place - 2] if self.place > 1 and self.is_name(self.tokens[self.place - 2]) else "", 0])
        elif token == ")":
            self.around.pop()
        elif token == "[":
            self.place = self.tokens.index("]", self.place) + 1
        elif token.startswith('"'):
            self.text(token[1:-1])
        elif self.is_name(token) and token not in WORDS and following != "(" and token not in GROUPINGS and token not in AGGREGATIONS:
            self.selector(token, following)

    @staticmethod
    def is_name(token):
        return bool(re.match(r"[A-Za-z_:]", token))

    def labels(self, word):
        """The labels in brackets after by, on and the like."""
        end = self.tokens.index(")", self.place)
        labels = {token for token in self.tokens[self.place + 1 : end] if token != ","}
        self.used |= labels
        if word in {"by", "group_left", "group_right"}:
            self.kept |= labels
        self.place = end + 1

    def text(self, text):
        """The labels that label_replace and label_join make, and those they make them of."""
        if not self.around or self.around[-1][0] not in LABEL_MAKERS:
            return
        function, number = self.around[-1]
        self.around[-1][1] += 1
        if number == 0:
            self.created.add(text)
        elif text and ((function == "label_join" and number > 1) or (function == "label_replace" and number == 2)):
            self.used.add(text)

    def selector(self, name, following):
        """A metric, and what stands in braces after it."""
        labels = set()
        if following == "{":
            end = self.tokens.index("}", self.place)
            inside = self.tokens[self.place + 1 : end]
            labels = {token for token, after in pairwise(inside) if after[0] in "=!"}
            self.place = end + 1
        self.selectors.append(Selector(name, labels, self.around[-1][0] if self.around else ""))
