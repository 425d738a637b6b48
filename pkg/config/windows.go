package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"

	"github.com/postmoat/postmoat/pkg/cover"
	"github.com/postmoat/postmoat/pkg/score"
)

// windows reads the windows in the order they are written.
func (r *reader) windows(path string, n *yaml.Node) []score.Window {
	var out []score.Window
	f := fields{}
	if n.Kind == yaml.MappingNode {
		for i := 0; i < len(n.Content); i += 2 {
			key := n.Content[i]
			if !windowName(key.Value) {
				r.fail(key, "%s: %q: a window is named with up to 32 lower-case letters, digits and dashes", path, cut(key.Value))
			}
			if null(n.Content[i+1]) {
				r.fail(key, "%s.%s: is empty: write {span: 10m, limit: 10}", path, key.Value)
			}
			f[key.Value] = func(p string, n *yaml.Node) { out = append(out, r.window(p, key.Value, n)) }
		}
		if len(n.Content) == 0 {
			r.fail(n, "%s: there is none, so nobody would ever be banned: name one, or leave the key out", path)
		}
	}
	r.mapping(path, n, f)
	return out
}

func windowName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

func (r *reader) window(path, name string, n *yaml.Node) score.Window {
	w := score.Window{Name: name}
	before := len(r.errs)
	clients, limit := n, n
	r.mapping(path, n, fields{
		"span": func(p string, n *yaml.Node) { w.Span, _ = r.seconds(p, n) },
		"limit": func(p string, n *yaml.Node) {
			limit = n
			v, _ := r.integer(p, n, 1, 1_000_000)
			w.Limit = int(v)
		},
		"share": func(p string, n *yaml.Node) { w.Share = r.share(p, n) },
		"width": func(p string, n *yaml.Node) {
			r.mapping(p, n, fields{
				"ipv4": func(p string, n *yaml.Node) { v, _ := r.integer(p, n, 8, 31); w.Width4 = int(v) },
				"ipv6": func(p string, n *yaml.Node) { v, _ := r.integer(p, n, 8, 63); w.Width6 = int(v) },
			})
			if len(r.errs) == before && (w.Width4 == 0 || w.Width6 == 0) {
				r.fail(n, "%s: needs both: write {ipv4: 24, ipv6: 56}", p)
			}
		},
		"clients": func(p string, n *yaml.Node) {
			clients = n
			v, _ := r.integer(p, n, 2, 1<<23)
			w.Clients = int(v)
		},
	})
	if len(r.errs) > before {
		return w
	}
	if w.Span == 0 {
		r.fail(n, "%s: has no span: write span: 10m", path)
	}
	if w.Limit == 0 {
		r.fail(n, "%s: has no limit: write limit: 10", path)
	}
	switch wide := w.Width4 != 0; {
	case !wide && w.Limit > score.MaxLimit:
		r.fail(limit, "%s.limit: %d is more than is remembered of one client: write 1 to %d", path, w.Limit, score.MaxLimit)
	case wide && w.Clients == 0:
		r.fail(n, "%s: has a width but not how many clients: write clients: 8", path)
	case !wide && w.Clients != 0:
		r.fail(clients, "%s.clients: only a window with a width counts clients: write width: {ipv4: 24, ipv6: 56}, or take it out", path)
	case wide && w.Clients > 1<<(32-w.Width4):
		r.fail(clients, "%s.clients: a /%d holds only %d: write 2 to %d", path, w.Width4, 1<<(32-w.Width4), 1<<(32-w.Width4))
	case wide && w.Width6 > 32 && w.Clients > 1<<(64-w.Width6):
		r.fail(clients, "%s.clients: a /%d holds only %d of /64: write 2 to %d", path, w.Width6, 1<<(64-w.Width6), 1<<(64-w.Width6))
	}
	return w
}

// share reads a part of 1 as per mille.
func (r *reader) share(path string, n *yaml.Node) int {
	s, ok := r.text(path, n)
	if !ok {
		return 0
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v <= 1) || n.Tag == "!!str" {
		r.fail(n, "%s: %q is no part of 1: write 0 to 1, like 0.5", path, cut(s))
		return 0
	}
	return int(math.Round(v * 1000))
}

func (r *reader) collapse(path string, n *yaml.Node, c *Config) {
	family := func(o *cover.Options, width int) func(string, *yaml.Node) {
		return func(p string, n *yaml.Node) { r.cover(p, n, o, width) }
	}
	r.mapping(path, n, fields{
		"ipv4": family(&c.Cover4, 32),
		"ipv6": family(&c.Cover6, 64),
		"budget": func(p string, n *yaml.Node) {
			v, _ := r.integer(p, n, 16, 10_000_000)
			c.Budget = int(v)
		},
	})
}

// cover reads the ladder and the price of one family.
func (r *reader) cover(path string, n *yaml.Node, o *cover.Options, width int) {
	before := len(r.errs)
	where := n
	at := map[int]*yaml.Node{} // by length of prefix
	r.mapping(path, n, fields{
		"price": func(p string, n *yaml.Node) { where = n; o.Price, _ = r.integer(p, n, 0, 1<<62) },
		"rungs": func(p string, n *yaml.Node) {
			o.Rungs = nil
			if n.Kind != yaml.MappingNode {
				r.fail(n, "%s: must be a mapping of prefix lengths to how many offenders they need: write {24: 3, 22: 9}", p)
				return
			}
			where = n
			for i := 0; i < len(n.Content); i += 2 {
				bits, ok1 := r.integer(p, n.Content[i], 1, 127)
				need, ok2 := r.integer(p, n.Content[i+1], 1, 1<<40)
				if ok1 && ok2 {
					at[int(bits)] = n.Content[i]
					o.Rungs = append(o.Rungs, cover.Rung{Bits: int(bits), Need: int(need)})
				}
			}
			// Written in whatever order, they go from narrow to wide.
			slices.SortStableFunc(o.Rungs, func(a, b cover.Rung) int { return b.Bits - a.Bits })
		},
	})
	if len(r.errs) > before {
		return
	}
	for _, err := range each(o.Check(width)) {
		var bits int
		node := where
		if _, scan := fmt.Sscanf(err.Error(), "rung /%d", &bits); scan == nil && at[bits] != nil {
			node = at[bits]
		}
		r.fail(node, "%s: %v", path, err)
	}
}

// each takes a joined error apart.
func each(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
