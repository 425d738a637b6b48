package engine_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/postmoat/postmoat/"

// storey says how high a room lies: a room imports only rooms below it.
var storey = map[string]int{
	"pkg/wire": -1, "pkg/fetch": -1, "pkg/linefeed": -1, "pkg/vector": -1,

	"pkg/maillog": 0, "pkg/prefix": 0, "pkg/source": 0, "pkg/privilege": 0,
	"pkg/ledger": 0, "pkg/health": 0,
	"pkg/rule": 1, "pkg/score": 1, "pkg/cover": 1, "pkg/allow": 1, "rules": 2,
	"pkg/ban":      2,
	"pkg/firewall": 3, "pkg/engine": 3,
	"pkg/firewall/memory": 4, "pkg/firewall/nftables": 4, "pkg/firewall/iptables": 4, "pkg/firewall/pf": 4,
	"pkg/firewall/sever": 4, "pkg/firewall/pf/pftest": 4, "pkg/firewall/pf/pftest/fakepfctl": 5,
	"pkg/firewall/firewalltest": 5,
	"pkg/config":                5, "pkg/report": 5, "pkg/daemon": 5, "pkg/loggen": 0,
	"pkg/control":  6,
	"cmd/postmoat": 7, "cmd/loggen": 7,
}

// core is the pure part: maillog to engine.
var core = []string{"pkg/wire", "pkg/fetch", "pkg/maillog", "pkg/prefix", "pkg/rule", "pkg/score", "pkg/cover", "pkg/ban", "pkg/engine"}

// only says who may import what belongs to one room.
var only = map[string][]string{
	"gopkg.in/yaml.v3":                 {"pkg/config"},
	"github.com/gaissmai/bart":         {"pkg/prefix"},
	module + "pkg/config":              {"cmd/postmoat"},
	"github.com/google/nftables":       {"pkg/firewall/nftables", "pkg/firewall/iptables", "pkg/firewall/firewalltest"},
	"github.com/coreos/go-iptables":    {"pkg/firewall/iptables", "pkg/firewall/firewalltest"},
	"github.com/nxadm/tail":            {"pkg/source"},
	"github.com/spf13/cobra":           {"cmd/postmoat"},
	"github.com/klauspost/compress":    {"pkg/source"},
	"github.com/ulikunitz/xz":          {"pkg/source"},
	"github.com/prometheus":            {}, // tests only: its start costs more than most commands take
	"github.com/google/renameio":       {"pkg/ledger"},
	"github.com/coreos/go-systemd/v22": {"pkg/daemon"},
}

// TestHouse holds the directions of import and the purity of
// the core.
func TestHouse(t *testing.T) {
	root := filepath.Join("..", "..")
	rooms := map[string]bool{}
	for _, top := range []string{"cmd", "pkg", "rules"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && d.Name() == "testdata" {
				return fs.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			room := filepath.ToSlash(filepath.Dir(rel))
			rooms[room] = true
			checkFile(t, room, path, filepath.ToSlash(rel))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, room := range core {
		if !rooms[room] {
			t.Errorf("room %s of the core was not found: the test looks at the wrong place", room)
		}
	}
}

func checkFile(t *testing.T, room, path, name string) {
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	level, ok := storey[room]
	if !ok {
		t.Errorf("%s: room %s is not on the plan of the house", name, room)
	}
	pure := slices.Contains(core, room)
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if ours, found := strings.CutPrefix(p, module); found {
			below, ok := storey[ours]
			sibling := ours == "pkg/prefix" // sets of prefixes are for everybody
			if !ok || below >= level && !sibling && !strings.HasPrefix(room, ours+"/") {
				t.Errorf("%s: imports %s, which is not below it", name, ours)
			}
		} else if pure && !strings.HasPrefix(p, "github.com/gaissmai/bart") {
			if strings.Contains(p, ".") {
				t.Errorf("%s: imports %s: the core has no third party but the prefix table", name, p)
			}
			if p == "os" || p == "net" || strings.HasPrefix(p, "os/") || strings.HasPrefix(p, "net/") && p != "net/netip" || p == "log" || p == "log/slog" || p == "syscall" {
				t.Errorf("%s: imports %s: the core is pure", name, p)
			}
		}
		for lib, who := range only {
			if (p == lib || strings.HasPrefix(p, lib+"/")) && !slices.Contains(who, room) {
				t.Errorf("%s: imports %s, which is for %q only", name, p, who)
			}
		}
	}
	if !pure {
		return
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s: a goroutine in the core", name)
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && (n.Sel.Name == "Now" || n.Sel.Name == "Since" || n.Sel.Name == "Sleep") {
				t.Errorf("%s: time.%s in the core", name, n.Sel.Name)
			}
		}
		return true
	})
}
