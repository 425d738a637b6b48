package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/postmoat/postmoat/pkg/rule"
)

// Ready is a folder of rule files that knows its rules already: reading YAML
// takes longer than most of what a command does.
type Ready interface {
	fs.FS
	// Specs are the rules as they are read from the files, but for Spec.At. They
	// must not be changed.
	Specs() []rule.Spec
}

// LoadRules reads rule files and folders (their *.yaml and *.yml, by name) in
// the order given; Builtin stands for those of builtin, whose files are not read
// if it is [Ready]. A later rule of the same name takes the place of an earlier
// one; rules that are switched off come along with Disabled set. The specs are
// all that could be read, also when there is an error, so that rule.Compile can
// add what it finds: the error joins an [Error] for each thing that is wrong.
func LoadRules(paths []string, builtin fs.FS) ([]rule.Spec, error) {
	l := &loader{at: map[string]int{}}
	for _, p := range paths {
		switch {
		case p == Builtin && builtin == nil:
			l.errs = append(l.errs, errors.New("rules: this program ships no rules"))
		case p == Builtin:
			if r, ok := builtin.(Ready); ok {
				l.add(r.Specs(), true)
				continue
			}
			l.folder("builtin rules", builtin, true)
		default:
			l.path(p)
		}
	}
	for _, s := range l.specs {
		if s.Disabled && len(s.When) == 0 {
			var names []string
			for _, x := range l.specs {
				if x.Name != s.Name {
					names = append(names, x.Name)
				}
			}
			if !l.replaced[s.Name] {
				l.errs = append(l.errs, &rule.Error{Pos: s.Pos, Rule: s.Name,
					Msg: "enabled: false: there is no earlier rule of that name to switch off" + rule.DidYouMean(s.Name, names)})
			}
		}
	}
	return l.specs, errors.Join(l.errs...)
}

type loader struct {
	specs    []rule.Spec
	at       map[string]int // index in specs by name
	replaced map[string]bool
	errs     []error
}

func (l *loader) path(p string) {
	info, err := os.Stat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist) && p == DefaultRules:
	case err != nil:
		l.errs = append(l.errs, fmt.Errorf("read rules: %w", err))
	case info.IsDir():
		l.folder(p, os.DirFS(p), false)
	default:
		text, err := readFile(p)
		l.file(p, text, err, false)
	}
}

func (l *loader) folder(name string, files fs.FS, builtin bool) {
	list, err := fs.ReadDir(files, ".") // sorted by name
	if err != nil {
		l.errs = append(l.errs, fmt.Errorf("read rules: %s: %w", name, err))
	}
	for _, f := range list {
		if ext := filepath.Ext(f.Name()); strings.HasPrefix(f.Name(), ".") || (ext != ".yaml" && ext != ".yml") {
			continue
		}
		text, err := fs.ReadFile(files, f.Name())
		file := filepath.Join(name, f.Name())
		if builtin {
			file = "builtin/" + f.Name()
		}
		l.file(file, text, err, builtin)
	}
}

func (l *loader) file(name string, text []byte, err error, builtin bool) {
	if err != nil {
		l.errs = append(l.errs, fmt.Errorf("read rules: %w", err))
		return
	}
	specs, err := parseRules(name, text)
	l.errs = append(l.errs, each(err)...)
	l.add(specs, builtin)
}

// add adds the rules of a file.
func (l *loader) add(specs []rule.Spec, builtin bool) {
	for _, s := range specs {
		s.Builtin = builtin
		if i, ok := l.at[s.Name]; ok && s.Name != "" {
			if l.replaced == nil {
				l.replaced = map[string]bool{}
			}
			l.replaced[s.Name] = true
			l.specs[i] = s
			continue
		}
		l.at[s.Name] = len(l.specs)
		l.specs = append(l.specs, s)
	}
}

// parseRules reads one rule file.
func parseRules(file string, text []byte) ([]rule.Spec, error) {
	r := &reader{file: file}
	var specs []rule.Spec
	if doc := r.document(text); doc != nil {
		r.mapping("", doc, fields{"rules": func(p string, n *yaml.Node) {
			r.list(p, n, func(p string, n *yaml.Node) {
				s, ok := r.rule(n)
				if !ok {
					return
				}
				same := slices.IndexFunc(specs, func(x rule.Spec) bool { return x.Name == s.Name && s.Name != "" })
				if same >= 0 {
					r.fail(n, "rule %q: is there twice in this file, first in line %d: give one of them another name", s.Name, specs[same].Pos.Line)
					return
				}
				specs = append(specs, s)
			})
		}})
	}
	return specs, r.err()
}

// rule reads one rule; what its values mean is checked by rule.Compile. It is
// not ok when so little could be read that the check would find fault with
// what has been told already.
func (r *reader) rule(n *yaml.Node) (s rule.Spec, ok bool) {
	ok = n.Kind == yaml.MappingNode
	need := func(read func(string, *yaml.Node)) func(string, *yaml.Node) {
		return func(p string, n *yaml.Node) {
			before := len(r.errs)
			read(p, n)
			ok = ok && len(r.errs) == before
		}
	}
	s = rule.Spec{Pos: r.pos(n), At: map[string]rule.Pos{}}
	what := "rules"
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		s.At[n.Content[i].Value] = r.pos(n.Content[i])
		if n.Content[i].Value == "name" {
			what = fmt.Sprintf("rule %q", cut(n.Content[i+1].Value))
		}
	}
	word := func(v *string) func(string, *yaml.Node) {
		return func(p string, n *yaml.Node) { *v, _ = r.text(p, n) }
	}
	r.mapping(what, n, fields{
		"name":  need(word(&s.Name)),
		"about": word(&s.About),
		"when":  need(func(p string, n *yaml.Node) { s.When = r.when(p, n) }),
		"weight": func(p string, n *yaml.Node) {
			v, ok := r.integer(p, n, 1, 1000)
			if s.Weight = int(v); !ok {
				s.Weight = 1 // it has been said
			}
		},
		"windows":  need(func(p string, n *yaml.Node) { s.Windows = r.texts(p, n) }),
		"per":      word(&s.Per),
		"distinct": word(&s.Distinct),
		"times":    word(&s.Times),
		"door":     word(&s.Door),
		"enabled": func(p string, n *yaml.Node) {
			if v, ok := r.boolean(p, n); ok {
				s.Disabled = !v
			}
		},
		"examples": func(p string, n *yaml.Node) {
			r.mapping(p, n, fields{
				"match":  func(p string, n *yaml.Node) { s.Match = r.examples(p, n) },
				"ignore": func(p string, n *yaml.Node) { s.Ignore = r.examples(p, n) },
			})
		},
	})
	return s, ok
}

// when reads the conditions: each field has a value or a list of them.
func (r *reader) when(path string, n *yaml.Node) []rule.Cond {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s: must be a mapping of fields to values%s", path, got(n))
		return nil
	}
	var out []rule.Cond
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		c := rule.Cond{Field: key.Value, Pos: r.pos(key)}
		p := join(path, key.Value)
		switch {
		case value.Kind == yaml.SequenceNode:
			r.list(p, value, func(p string, n *yaml.Node) {
				if v, ok := r.text(p, n); ok {
					c.Values = append(c.Values, v)
				}
			})
		case null(value):
			r.fail(key, `%s: has no value: write one, or "" for an empty text`, p)
			continue
		default:
			if v, ok := r.text(p, value); ok {
				c.Values = append(c.Values, v)
			}
		}
		out = append(out, c)
	}
	return out
}

func (r *reader) examples(path string, n *yaml.Node) []rule.Example {
	var out []rule.Example
	r.list(path, n, func(path string, n *yaml.Node) {
		v, ok := r.text(path, n)
		switch {
		case !ok:
		case strings.TrimSpace(v) == "" || strings.ContainsAny(v, "\n\r"):
			r.fail(n, "%s: must be one line of a log", path)
		default:
			out = append(out, rule.Example{Text: v, Pos: r.pos(n)})
		}
	})
	return out
}
