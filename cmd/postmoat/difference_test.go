package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/config"
)

// What a reload prints is what an operator may write: put back into a file, key
// by key, it is the same configuration, and another than the default.
func TestLinesAreConfiguration(t *testing.T) {
	text := `windows:
  quick: {span: 90s, limit: 7}
  spray: {span: 2h, limit: 50, share: 0.85, width: {ipv4: 24, ipv6: 56}, clients: 9}
ban: {time: 2h, max: 10d, memory: 45d, parole: 3m}
collapse: {ipv4: {price: 200, rungs: {24: 4, 22: 12}}, ipv6: {price: 5000, rungs: {56: 4, 48: 25}}, budget: 1000}
allow: {networks: [192.0.2.0/24], files: [/other/allow.d], names: [mx.partner.example], private: false}
breaker: {addresses-per-minute: 5000, known-good: 9}
limits: {clients: 50000}
doors: {smtp: [25, 2525], login: [587]}
firewall: {backend: nftables, action: reject}
state: /var/lib/other
control: {socket: /run/other.sock, group: mail, mode: "0600"}
metrics: {listen: "127.0.0.1:9999"}
rules: [builtin]
`
	load := func(text string) *loaded {
		t.Helper()
		file := filepath.Join(t.TempDir(), "postmoat.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(file)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return &loaded{cfg, file}
	}
	want := load(text)
	lines, fixed, err := want.lines(nil)
	if err != nil {
		t.Fatal(err)
	}
	tree := make(map[string][]string) // by the first two keys
	written := "rules: [builtin]\n"
	for _, l := range slices.Concat(lines, fixed) {
		if strings.HasPrefix(l, "rule: ") {
			continue
		}
		key, value, _ := strings.Cut(l, ": ")
		path := strings.Split(key, ".")
		switch len(path) {
		case 1:
			written += l + "\n"
		case 2:
			tree[path[0]] = append(tree[path[0]], path[1]+": "+value)
		case 3:
			tree[path[0]+"."+path[1]] = append(tree[path[0]+"."+path[1]], path[2]+": "+value)
		}
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		tree["collapse"] = append(tree["collapse"], family+": {"+strings.Join(tree["collapse."+family], ", ")+"}")
		delete(tree, "collapse."+family)
	}
	for section, keys := range tree {
		written += section + ": {" + strings.Join(keys, ", ") + "}\n"
	}
	got := load(written)
	got.Allow.Networks[0].Pos = want.Allow.Networks[0].Pos
	got.At = want.At
	if !reflect.DeepEqual(got.Config, want.Config) {
		t.Errorf("%+v, want %+v, of\n%s", got.Config, want.Config, written)
	}
	standard, _, err := load("{}").lines(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if !strings.HasPrefix(l, "rule: ") && slices.Contains(standard, l) {
			t.Errorf("%s: as in the default: nothing is proved", l)
		}
	}
}
