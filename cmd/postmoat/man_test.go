package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestManPages: each command that help shows has a page, and each of its flags
// an entry there; programs that read such pages find no fault with them.
func TestManPages(t *testing.T) {
	folder := t.TempDir()
	if err := writeMan(folder, root(), manHead{date: "2026-11-23", version: "1"}); err != nil {
		t.Fatal(err)
	}
	pages := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		pages++
		text, err := os.ReadFile(filepath.Join(folder, manName(c)+".8"))
		if err != nil {
			t.Error(err)
			return
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if entry := "\n" + `\fB\-\-` + strings.ReplaceAll(f.Name, "-", `\-`) + `\fR`; !f.Hidden && !strings.Contains(string(text), entry) && f.Name != "help" {
				t.Errorf("%s: nothing about --%s", manName(c), f.Name)
			}
		})
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				walk(sub)
			}
		}
	}
	walk(root())
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) != pages || pages < 8 {
		t.Errorf("%d pages of %d commands: %v", len(files), pages, err)
	}
	lintPages(t, files)
}

// lintPages shows pages to mandoc and groff.
func lintPages(t *testing.T, files []string) {
	for _, lint := range [][]string{{"mandoc", "-Tlint", "-Wwarning"}, {"groff", "-mandoc", "-ww", "-Tutf8", "-z"}} {
		t.Run(lint[0], func(t *testing.T) {
			if _, err := exec.LookPath(lint[0]); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			for _, file := range files {
				out, err := exec.Command(lint[0], append(lint[1:], file)...).CombinedOutput()
				if err != nil || len(out) > 0 {
					t.Errorf("%s: %v\n%s", filepath.Base(file), err, out)
				}
			}
		})
	}
}

// TestManText: nothing that a text may hold is read as a request.
func TestManText(t *testing.T) {
	c := &cobra.Command{
		Use: "odd", Short: `A "short" one \fB`, Long: ".SH evil\n'br\n\n  .so /etc/passwd\n  a\\b --x",
		Run: func(*cobra.Command, []string) {},
	}
	c.Flags().String("a", `.x\n`, "the `VALUE` of `it`\n.sp 9")
	page := string(manPage(c, manHead{version: `1"2\3`}))
	for line := range strings.SplitSeq(page, "\n") {
		if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".sp") || strings.HasPrefix(line, ".so") || line == ".SH evil" {
			t.Errorf("a text became the request %q", line)
		}
	}
	for _, want := range []string{`\&.SH evil`, `\(aqbr`, "\n  .so /etc/passwd\n", `a\eb \-\-x`, `postmoat 1\(dq2\e3`, `\&.sp 9`, `\efB`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}
