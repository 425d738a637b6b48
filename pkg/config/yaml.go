package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/postmoat/postmoat/pkg/rule"
)

// An Error is one thing wrong with a file of the configuration.
type Error struct {
	Pos rule.Pos
	Msg string // what is wrong: what to write instead
}

func (e *Error) Error() string { return e.Pos.String() + ": " + e.Msg }

// A reader walks the nodes of one file and collects what is wrong. It reads
// nodes and not structs because only nodes know their lines, and because the
// strictness of the YAML package ends at the first type that decodes itself.
type reader struct {
	file string
	dir  string // what relative paths start from
	at   map[string]rule.Pos
	errs []error
}

// maxErrors is how many errors of a file are told; more help nobody.
const maxErrors = 50

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, &Error{Pos: r.pos(n), Msg: fmt.Sprintf(format, args...)})
}

func (r *reader) pos(n *yaml.Node) rule.Pos { return rule.Pos{File: r.file, Line: n.Line} }

func (r *reader) err() error {
	sort.SliceStable(r.errs, func(i, j int) bool { return line(r.errs[i]) < line(r.errs[j]) })
	if more := len(r.errs) - maxErrors; more > 0 {
		r.errs = append(r.errs[:maxErrors], &Error{Pos: rule.Pos{File: r.file}, Msg: fmt.Sprintf("and %d more errors", more)})
	}
	return errors.Join(r.errs...)
}

func line(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Pos.Line
	}
	return 0
}

var yamlLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?`) })

// document is the one document of the text, nil if it is empty or broken.
func (r *reader) document(text []byte) *yaml.Node {
	if len(text) > maxFile {
		r.errs = append(r.errs, &Error{Pos: rule.Pos{File: r.file}, Msg: "is larger than 1 MiB: that is no configuration"})
		return nil
	}
	if !r.utf8(text) {
		return nil
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	if err := d.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) {
			r.syntax(text, err)
		}
		return nil
	}
	switch err := d.Decode(&second); {
	case err == nil:
		r.fail(&second, "a second document begins here and would be ignored: take the --- out, or make it a file of its own")
	case !errors.Is(err, io.EOF):
		r.syntax(text, err)
		return nil
	}
	if len(doc.Content) == 0 {
		return nil
	}
	root := doc.Content[0]
	if !r.plain(root) || null(root) {
		return nil
	}
	return root
}

// utf8 finds what the YAML package refuses without a line: a comment in
// Latin-1, mostly. UTF-16 with its mark is YAML too.
func (r *reader) utf8(text []byte) bool {
	if utf8.Valid(text) || bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return true
	}
	for i, line := range bytes.Split(text, []byte("\n")) {
		if !utf8.Valid(line) {
			r.fail(&yaml.Node{Line: i + 1}, "not valid UTF-8 (%q): save the file as UTF-8", cut(string(bytes.TrimSpace(line))))
			return false
		}
	}
	return true
}

func (r *reader) syntax(file []byte, err error) {
	text := err.Error()
	m := yamlLine().FindStringSubmatch(text)
	n := &yaml.Node{}
	if m != nil {
		n.Line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	if lines := bytes.Split(file, []byte("\n")); n.Line > 0 && n.Line <= len(lines) {
		line := lines[n.Line-1]
		if indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]; bytes.IndexByte(indent, '\t') >= 0 {
			text += ": indent with blanks, not with tabs"
		}
	}
	r.fail(n, "not valid YAML: %s", text)
}

// plain refuses what a configuration has no use for and what hides from the
// eye what a value is: anchors, aliases, merge keys and tags.
func (r *reader) plain(n *yaml.Node) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		r.fail(n, "an alias (*%s): write the value out", n.Value)
		return false
	case n.Anchor != "":
		r.fail(n, "an anchor (&%s): take it out, aliases are not read", n.Anchor)
		return false
	case n.Style&yaml.TaggedStyle != 0:
		r.fail(n, "a tag (%s): take it out", n.Tag)
		return false
	}
	ok := true
	for _, sub := range n.Content {
		ok = r.plain(sub) && ok
	}
	return ok
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// fields are the keys a mapping may have.
type fields map[string]func(path string, n *yaml.Node)

// mapping reads a mapping; a key without a value counts as left out.
func (r *reader) mapping(path string, n *yaml.Node, f fields) {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%smust be a mapping of keys to values%s", dot(path), got(n))
		return
	}
	known := make([]string, 0, len(f))
	for k := range f {
		known = append(known, k)
	}
	sort.Strings(known)
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		read := f[key.Value]
		if r.at != nil {
			r.at[join(path, key.Value)] = r.pos(key)
		}
		switch {
		case key.Kind != yaml.ScalarNode || read == nil:
			hint := rule.DidYouMean(key.Value, known)
			if hint == "" {
				hint = ": the keys are " + strings.Join(known, ", ")
			}
			r.fail(key, "%sunknown key %q%s", dot(path), key.Value, hint)
		case seen[key.Value] != 0:
			r.fail(key, "%s%s is given twice, first in line %d: keep one", dot(path), key.Value, seen[key.Value])
		case null(value):
			seen[key.Value] = key.Line
		default:
			seen[key.Value] = key.Line
			read(join(path, key.Value), value)
		}
	}
}

func join(path, key string) string {
	switch {
	case path == "":
		return key
	case strings.HasSuffix(path, `"`): // rule "name"
		return path + ": " + key
	}
	return path + "." + key
}

func dot(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

func got(n *yaml.Node) string {
	switch n.Kind {
	case yaml.ScalarNode:
		return fmt.Sprintf(", not %q", cut(n.Value))
	case yaml.SequenceNode:
		return ", not a list"
	case yaml.MappingNode:
		return ", not a mapping"
	}
	return ""
}

func cut(s string) string {
	if len(s) > 60 {
		return s[:57] + "..."
	}
	return s
}

// list reads the members of a list.
func (r *reader) list(path string, n *yaml.Node, each func(path string, n *yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		hint := ""
		if n.Kind == yaml.ScalarNode {
			hint = fmt.Sprintf(": write [%s]", cut(n.Value))
		}
		r.fail(n, "%s: must be a list%s", path, hint)
		return
	}
	for _, sub := range n.Content {
		if null(sub) {
			r.fail(sub, "%s: an empty member: take it out", path)
			continue
		}
		each(path, sub)
	}
}

func (r *reader) texts(path string, n *yaml.Node) []string {
	out := []string{}
	r.list(path, n, func(path string, n *yaml.Node) {
		if s, ok := r.text(path, n); ok && s != "" {
			out = append(out, s)
		} else if ok {
			r.fail(n, "%s: an empty member: take it out", path)
		}
	})
	return out
}

// text reads a scalar as the text it was written as.
func (r *reader) text(path string, n *yaml.Node) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		r.fail(n, "%s: must be one value%s", path, got(n))
		return "", false
	}
	return n.Value, true
}

// word reads one of a few words.
func (r *reader) word(path string, n *yaml.Node, words ...string) string {
	s, ok := r.text(path, n)
	if !ok {
		return ""
	}
	for _, w := range words {
		if s == w {
			return s
		}
	}
	hint := rule.DidYouMean(s, words)
	if hint == "" {
		hint = ": write one of " + strings.Join(words, ", ")
	}
	r.fail(n, "%s: %q is not known%s", path, cut(s), hint)
	return ""
}

// integer reads a whole decimal number of lo to hi.
func (r *reader) integer(path string, n *yaml.Node, lo, hi int64) (int64, bool) {
	s, ok := r.text(path, n)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange) || n.Tag == "!!str":
		r.fail(n, "%s: %q is not a whole number: write %d to %d", path, cut(s), lo, hi)
	case err != nil || v < lo || v > hi:
		r.fail(n, "%s: %s is out of range: write %d to %d", path, cut(s), lo, hi)
	default:
		return v, true
	}
	return 0, false
}

func (r *reader) boolean(path string, n *yaml.Node) (v, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		r.fail(n, "%s: must be true or false%s", path, got(n))
		return false, false
	}
	return strings.EqualFold(n.Value, "true"), true
}

// path reads a file name; a relative one starts from the folder of the file.
func (r *reader) path(path string, n *yaml.Node) (string, bool) {
	s, ok := r.text(path, n)
	switch {
	case !ok:
		return "", false
	case s == "" || strings.ContainsRune(s, 0):
		r.fail(n, "%s: %q is no path", path, cut(s))
		return "", false
	case !filepath.IsAbs(s):
		s = filepath.Join(r.dir, s)
	}
	return filepath.Clean(s), true
}
