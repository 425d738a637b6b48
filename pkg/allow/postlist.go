package allow

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// Bounds of one parameter of Postfix, with all the files it names.
const (
	maxPostFile     = 1 << 20
	maxPostFiles    = 32
	maxPostPatterns = 1 << 14
	maxPostExcluded = 256
	maxPostNotes    = 16
)

// A postNet is a network of a Postfix list.
type postNet struct {
	prefix netip.Prefix
	at     string // "/etc/postfix/networks:3" where it stands in a file, else ""
}

// A postList is what a Postfix list such as mynetworks holds.
type postList struct {
	nets  []postNet
	names []string // hosts or, in a list of domains, domains
	notes []string // what was not understood or left out
	files []string // that were read

	read     func(path string) ([]byte, error)
	excluded []netip.Prefix
	patterns int
	domains  bool // a list of domains: addresses in it mean nothing
}

// parsePostList reads a list of Postfix: patterns with commas or blanks between
// them. A pattern is an address, a network, a host name, /a/file of patterns,
// or type:table. The first pattern that matches decides, so !pattern takes its
// addresses out of what comes after it, as Postfix does. Where it cannot be
// known what a pattern matches, it matches nothing, and a note says so.
func parsePostList(value string, read func(path string) ([]byte, error)) *postList {
	l := &postList{read: read}
	l.list(value, "", false, 0)
	return l
}

// parsePostDomains reads a list of domains such as mydestination.
func parsePostDomains(value string, read func(path string) ([]byte, error)) *postList {
	l := &postList{read: read, domains: true}
	l.list(value, "", false, 0)
	return l
}

func (l *postList) note(format string, args ...any) {
	if len(l.notes) < maxPostNotes {
		l.notes = append(l.notes, fmt.Sprintf(format, args...))
	}
}

// list goes through patterns; not is whether they exclude.
func (l *postList) list(text, at string, not bool, depth int) {
	for len(text) > 0 {
		var word string
		word, text = nextPattern(text)
		if word == "" {
			continue
		}
		if l.patterns++; l.patterns > maxPostPatterns {
			if l.patterns == maxPostPatterns+1 {
				l.note("more than %d patterns: the rest is left out", maxPostPatterns)
			}
			return
		}
		l.pattern(word, at, not, depth)
	}
}

// nextPattern cuts a word off; blanks and commas inside of braces belong to it.
func nextPattern(s string) (word, rest string) {
	depth := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '{':
			depth++
		case c == '}':
			depth--
		case depth <= 0 && (c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func (l *postList) pattern(word, at string, not bool, depth int) {
	for strings.HasPrefix(word, "!") {
		word, not = word[1:], !not
	}
	switch {
	case strings.HasPrefix(word, "/"):
		l.file(word, not, depth)
		return
	case isTable(word):
		l.table(word, not)
		return
	}
	if p, masked, ok := parsePostNet(word); ok {
		if masked {
			l.note("%s has host bits set, which Postfix refuses: it is taken as %s", cut(word), p)
		}
		l.net(p, at, not)
		return
	}
	l.name(word, at, not)
}

// isTable knows type:table, which an IPv6 address without brackets is not.
func isTable(word string) bool {
	kind, _, ok := strings.Cut(word, ":")
	if !ok || kind == "" || strings.HasPrefix(word, "[") {
		return false
	}
	_, _, isNet := parsePostNet(word)
	return !isNet
}

// parsePostNet reads 192.0.2.0/24, 192.0.2.1, [2001:db8::]/32, [2001:db8::/32]
// and IPv6 without brackets, as cidr_match(3) of Postfix does. masked says that
// host bits had to be cleared.
func parsePostNet(s string) (p netip.Prefix, masked, ok bool) {
	if len(s) > 64 {
		return p, false, false
	}
	if strings.HasPrefix(s, "[") {
		inside, rest, closed := strings.Cut(s[1:], "]")
		if !closed || rest != "" && rest[0] != '/' || !strings.Contains(inside, ":") && rest != "" {
			return p, false, false
		}
		s = inside + rest
	}
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		return prefix.Host(a), false, err == nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, false, false
	}
	c := prefix.Canonical(p)
	return c, p != p.Masked(), c.IsValid()
}

func (l *postList) net(p netip.Prefix, at string, not bool) {
	switch {
	case l.domains:
	case not && len(l.excluded) == maxPostExcluded:
		l.note("more than %d exclusions: !%s does not count", maxPostExcluded, p)
	case not:
		l.excluded = append(l.excluded, p)
	default:
		for _, q := range prefix.Subtract(p, l.excluded) {
			if len(l.nets) == 2*maxPostPatterns {
				l.note("more than %d networks: the rest is left out", 2*maxPostPatterns)
				return
			}
			l.nets = append(l.nets, postNet{q, at})
		}
	}
}

func (l *postList) name(word, at string, not bool) {
	name := strings.ToLower(strings.TrimSuffix(word, "."))
	switch {
	case not:
		if !l.domains {
			l.note("!%s: an excluded name is not looked up", cut(word))
		}
	case l.domains && strings.Contains(name, "@"):
	case validName(strings.TrimPrefix(name, ".")) && strings.HasPrefix(name, "."):
		if !l.domains {
			l.note("%s: a whole domain cannot be looked up", cut(word))
		}
	case validName(name):
		l.names = append(l.names, name)
	default:
		if at != "" {
			at += ": "
		}
		l.note("%s%q is not understood", at, cut(word))
	}
}

// file reads the patterns in a file.
func (l *postList) file(path string, not bool, depth int) {
	const deepest = 4
	if depth == deepest {
		l.note("%s: files within files, it is not read", cut(path))
		return
	}
	for n, line := range l.lines(path) {
		l.list(line, fmt.Sprintf("%s:%d", path, n+1), not, depth+1)
	}
}

// lines gives the lines of a text file, comments emptied.
func (l *postList) lines(path string) []string {
	if len(l.files) == maxPostFiles {
		l.note("more than %d files: %s is not read", maxPostFiles, cut(path))
		return nil
	}
	l.files = append(l.files, path)
	text, err := l.read(path)
	if err != nil {
		l.note("%s: %v: list its networks in allow.networks", cut(path), err)
		return nil
	}
	var lines []string
	for line := range bytes.Lines(text) {
		s := strings.TrimRight(string(line), " \t\r\n")
		if strings.HasPrefix(strings.TrimLeft(s, " \t"), "#") {
			s = ""
		}
		lines = append(lines, s)
	}
	return lines
}

// table reads the text that a lookup table is made of: its keys are patterns,
// its values do not matter.
func (l *postList) table(word string, not bool) {
	kind, path, _ := strings.Cut(strings.TrimPrefix(word, "proxy:"), ":")
	switch {
	case !strings.HasPrefix(path, "/"):
	case kind == "cidr":
		l.cidr(path, not)
		return
	case kind == "hash", kind == "btree", kind == "lmdb", kind == "cdb", kind == "dbm", kind == "sdbm", kind == "texthash":
		for n, line := range l.lines(path) {
			// A line that begins with a blank goes on with the value before it.
			if line != "" && line[0] != ' ' && line[0] != '\t' {
				l.key(line, fmt.Sprintf("%s:%d", path, n+1), not)
			}
		}
		return
	}
	if !l.domains {
		l.note("%s: such a table is not read; list its networks in allow.networks", cut(word))
	}
}

// key takes the key of a line of a table as a pattern. It cannot be a table itself.
func (l *postList) key(line, at string, not bool) {
	words := strings.Fields(line)
	if len(words) == 0 { // blanks of another kind
		return
	}
	key := words[0]
	if l.patterns++; l.patterns > maxPostPatterns {
		return
	}
	if p, masked, ok := parsePostNet(key); ok {
		if !masked {
			l.net(p, at, not)
		}
		return
	}
	l.name(key, at, not)
}

// cidr reads a cidr_table(5). Lines with ! match all but a network, and those
// between if and endif match under a condition: neither is followed.
func (l *postList) cidr(path string, not bool) {
	within := 0
	for n, line := range l.lines(path) {
		at := fmt.Sprintf("%s:%d", path, n+1)
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || line[0] == ' ' || line[0] == '\t':
		case strings.EqualFold(f[0], "if"):
			within++
			l.note("%s: if ... endif is not followed; list its networks in allow.networks", at)
		case strings.EqualFold(f[0], "endif"):
			within = max(0, within-1)
		case within > 0:
		case strings.HasPrefix(f[0], "!"):
			l.note("%s: ! in a table is not followed", at)
		default:
			l.key(line, at, not)
		}
	}
}
