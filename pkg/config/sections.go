package config

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
)

// config reads the whole file into c, which holds the defaults.
func (r *reader) config(n *yaml.Node, c *Config) {
	r.mapping("", n, fields{
		"sources": func(p string, n *yaml.Node) { r.sources(p, n, &c.Sources) },
		"rules": func(p string, n *yaml.Node) {
			c.Rules = []string{}
			r.list(p, n, func(p string, n *yaml.Node) {
				if n.Value == Builtin {
					c.Rules = append(c.Rules, Builtin)
				} else if s, ok := r.path(p, n); ok {
					c.Rules = append(c.Rules, s)
				}
			})
		},
		"windows":  func(p string, n *yaml.Node) { c.Windows = r.windows(p, n) },
		"ban":      func(p string, n *yaml.Node) { r.ban(p, n, &c.Ban) },
		"collapse": func(p string, n *yaml.Node) { r.collapse(p, n, c) },
		"allow":    func(p string, n *yaml.Node) { r.allow(p, n, &c.Allow) },
		"doors":    func(p string, n *yaml.Node) { r.doors(p, n, &c.Doors) },
		"firewall": func(p string, n *yaml.Node) {
			r.mapping(p, n, fields{
				"backend": func(p string, n *yaml.Node) {
					c.Firewall.Backend = r.word(p, n, "auto", "nftables", "iptables", "pf")
				},
				"action": func(p string, n *yaml.Node) { c.Firewall.Action = r.word(p, n, "drop", "reject") },
			})
		},
		"breaker": func(p string, n *yaml.Node) {
			r.mapping(p, n, fields{
				"addresses-per-minute": func(p string, n *yaml.Node) { c.Breaker.AddressesPerMinute, _ = r.integer(p, n, 1, 1<<40) },
				"known-good": func(p string, n *yaml.Node) {
					v, _ := r.integer(p, n, 1, 1<<20)
					c.Breaker.KnownGood = int(v)
				},
			})
		},
		"state":   func(p string, n *yaml.Node) { c.State, _ = r.path(p, n) },
		"control": func(p string, n *yaml.Node) { r.control(p, n, &c.Control) },
		"metrics": func(p string, n *yaml.Node) {
			r.mapping(p, n, fields{"listen": func(p string, n *yaml.Node) { c.Metrics.Listen = r.loopback(p, n) }})
		},
		"limits": func(p string, n *yaml.Node) {
			r.mapping(p, n, fields{"clients": func(p string, n *yaml.Node) {
				v, _ := r.integer(p, n, 1000, 100_000_000)
				c.Clients = int(v)
			}})
		},
	})
}

func (r *reader) sources(path string, n *yaml.Node, s *Sources) {
	if n.Kind == yaml.ScalarNode {
		if n.Value != "auto" {
			r.fail(n, "%s: %q: write auto, or a list of - file: %s or - journal: {slice: system-postfix.slice}", path, cut(n.Value), cut(n.Value))
		}
		return
	}
	*s = Sources{}
	r.list(path, n, func(path string, n *yaml.Node) {
		x := Source{Pos: r.pos(n)}
		var file, journal bool
		if n.Kind == yaml.ScalarNode {
			r.fail(n, "%s: %q: write `- file: %s` on a line of its own", path, cut(n.Value), cut(n.Value))
			return
		}
		r.mapping(path, n, fields{
			"file": func(p string, n *yaml.Node) { x.File, _ = r.path(p, n); file = true },
			"journal": func(p string, n *yaml.Node) {
				journal = true
				r.mapping(p, n, fields{
					"slice":       func(p string, n *yaml.Node) { x.Journal.Slice, _ = r.text(p, n) },
					"identifiers": func(p string, n *yaml.Node) { x.Journal.Identifiers = r.texts(p, n) },
				})
				if x.Journal.Slice == "" && len(x.Journal.Identifiers) == 0 {
					r.fail(n, "%s: names nothing to read: write a slice or identifiers", p)
				}
			},
			"timezone": func(p string, n *yaml.Node) { x.Timezone = r.timezone(p, n) },
		})
		if file == journal {
			r.fail(n, "%s: each source is a file or a journal: write one of the two", path)
		}
		for _, other := range s.List {
			if file && other.File == x.File {
				r.fail(n, "%s: %s is there twice: keep one", path, x.File)
			}
		}
		s.List = append(s.List, x)
	})
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		r.fail(n, "%s: an empty list: write auto, or name a file", path)
	}
}

func (r *reader) timezone(path string, n *yaml.Node) *time.Location {
	s, ok := r.text(path, n)
	if !ok {
		return nil
	}
	l, err := time.LoadLocation(s)
	if err != nil || s == "" {
		r.fail(n, "%s: %q is not known on this host: write a name like UTC or Europe/Vienna", path, cut(s))
		return nil
	}
	return l
}

func (r *reader) ban(path string, n *yaml.Node, b *Ban) {
	before := len(r.errs)
	set := func(v *int64) func(string, *yaml.Node) {
		return func(p string, n *yaml.Node) { *v, _ = r.seconds(p, n) }
	}
	r.mapping(path, n, fields{"time": set(&b.Time), "max": set(&b.Max), "memory": set(&b.Memory), "parole": set(&b.Parole)})
	if len(r.errs) == before && b.Max < b.Time {
		r.fail(n, "%s.max: %s is less than the time %s of a first ban: write at least max: %s", path, Duration(b.Max), Duration(b.Time), Duration(b.Time))
	}
}

func (r *reader) allow(path string, n *yaml.Node, a *Allow) {
	r.mapping(path, n, fields{
		"networks": func(p string, n *yaml.Node) {
			r.list(p, n, func(p string, n *yaml.Node) {
				if s, ok := r.text(p, n); ok {
					net, err := prefix.Parse(s)
					if err != nil {
						r.fail(n, "%s: %v", p, err)
						return
					}
					a.Networks = append(a.Networks, Network{Prefix: net, Pos: r.pos(n)})
				}
			})
		},
		"files": func(p string, n *yaml.Node) {
			a.Files = []string{}
			r.list(p, n, func(p string, n *yaml.Node) {
				if s, ok := r.path(p, n); ok {
					a.Files = append(a.Files, s)
				}
			})
		},
		"names": func(p string, n *yaml.Node) {
			r.list(p, n, func(p string, n *yaml.Node) {
				if s, ok := r.hostName(p, n); ok {
					a.Names = append(a.Names, s)
				}
			})
		},
		"private": func(p string, n *yaml.Node) {
			if v, ok := r.boolean(p, n); ok {
				a.Private = v
			}
		},
	})
}

func (r *reader) hostName(path string, n *yaml.Node) (string, bool) {
	s, ok := r.text(path, n)
	if !ok {
		return "", false
	}
	if p, err := prefix.ParseAny(s); err == nil {
		r.fail(n, "%s: %q is no name: write networks: [%s]", path, s, p)
		return "", false
	}
	good := s != "" && len(strings.TrimSuffix(s, ".")) <= 253
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		good = good && label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-' &&
			strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
	}
	if !good {
		r.fail(n, "%s: %q is no DNS name: write one like mx.partner.example", path, cut(s))
	}
	return s, good
}

func (r *reader) doors(path string, n *yaml.Node, doors *[maillog.NumDoors][]uint16) {
	before := len(r.errs)
	set := func(d maillog.Door) func(string, *yaml.Node) {
		return func(p string, n *yaml.Node) {
			doors[d] = []uint16{}
			r.list(p, n, func(p string, n *yaml.Node) {
				v, ok := r.integer(p, n, 1, 65535)
				if ok && slices.Contains(doors[d], uint16(v)) {
					r.fail(n, "%s: port %d is there twice: keep one", p, v)
				} else if ok {
					doors[d] = append(doors[d], uint16(v))
				}
			})
		}
	}
	r.mapping(path, n, fields{"smtp": set(maillog.SMTP), "login": set(maillog.Login)})
	if len(r.errs) > before {
		return
	}
	if len(doors[maillog.SMTP])+len(doors[maillog.Login]) == 0 {
		r.fail(n, "%s: no door has a port, so nothing would be cut off: write smtp: [25]", path)
	}
	for _, p := range doors[maillog.SMTP] {
		if slices.Contains(doors[maillog.Login], p) {
			r.fail(n, "%s: port %d is at both doors: keep it at one", path, p)
		}
	}
}

func (r *reader) control(path string, n *yaml.Node, c *Control) {
	r.mapping(path, n, fields{
		"socket": func(p string, n *yaml.Node) {
			c.Socket, _ = r.path(p, n)
			// sun_path holds 104 bytes on the BSDs, with the final NUL.
			if len(c.Socket) > 103 {
				r.fail(n, "%s: longer than the 103 bytes a socket's path can have", p)
			}
		},
		"group": func(p string, n *yaml.Node) { c.Group, _ = r.text(p, n) },
		"mode": func(p string, n *yaml.Node) {
			c.Mode = 0o660
			if r.word(p, n, "0660", "0600") == "0600" {
				c.Mode = 0o600
			}
		},
	})
}

// loopback reads an address to listen at.
func (r *reader) loopback(path string, n *yaml.Node) string {
	s, ok := r.text(path, n)
	if !ok || s == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		r.fail(n, "%s: %q: write an address and a port like 127.0.0.1:9155 or [::1]:9155", path, cut(s))
		return ""
	}
	if v, err := strconv.Atoi(port); err != nil || v < 1 || v > 65535 {
		r.fail(n, "%s: port %q: write 1 to 65535", path, cut(port))
		return ""
	}
	if a, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !a.IsLoopback()) {
		r.fail(n, "%s: %q is not a loopback address, and metrics are not for the network: write 127.0.0.1:%s or [::1]:%s", path, cut(host), port, port)
		return ""
	}
	return s
}
