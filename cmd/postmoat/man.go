package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manRest is what postmoat(8) says beside its commands: signals, files and the
// like.
//
//go:embed man.roff
var manRest string

// manCommand writes the man pages. It is hidden: make runs it.
func manCommand() *cobra.Command {
	var date string
	c := &cobra.Command{
		Use:     "man FOLDER",
		Short:   "Write the man pages of all commands",
		Long:    "man writes a man page for postmoat and one for each of its commands into FOLDER.",
		Example: "  postmoat man --date 2026-11-23 ./man8",
		Hidden:  true,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return hinted{usagef("man needs the folder to write to"), "postmoat man ./man8"}
			}
			v, _ := buildVersion()
			return writeMan(args[0], c.Root(), manHead{date: date, version: v})
		},
	}
	c.Flags().StringVar(&date, "date", "", "`DATE` of the pages, so that the same source gives the same pages")
	return c
}

// A manHead is what stands at the head and foot of all pages.
type manHead struct{ date, version string }

// writeMan writes the page of a command, and those of the commands below it.
func writeMan(folder string, c *cobra.Command, h manHead) error {
	// help is made when a command runs; here it is left out.
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() || sub.Name() == "help" {
			continue
		}
		if err := writeMan(folder, sub, h); err != nil {
			return err
		}
	}
	file := filepath.Join(folder, manName(c)+".8")
	if err := os.WriteFile(file, manPage(c, h), 0o644); err != nil {
		return fmt.Errorf("write man page: %w", err)
	}
	return nil
}

// manName is "postmoat-allow-add" for the command "postmoat allow add".
func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manPage is the page of one command, in the man macros of roff.
func manPage(c *cobra.Command, h manHead) []byte {
	c.InitDefaultHelpFlag()
	w := &roff{}
	w.macro("TH", strings.ToUpper(manName(c)), "8", h.date, "postmoat "+h.version, "postmoat")
	w.macro("SH", "NAME")
	w.text(manName(c) + " - " + lowerFirst(c.Short))
	w.macro("SH", "SYNOPSIS")
	if c.HasAvailableSubCommands() {
		w.raw(bold(c.CommandPath()) + ` \fIcommand\fR [\fIflags\fR] [\fIarguments\fR]`)
	}
	if c.Runnable() && c.HasParent() {
		if c.HasAvailableSubCommands() {
			w.macro("br")
		}
		rest := strings.TrimPrefix(c.UseLine(), c.CommandPath())
		w.raw(bold(c.CommandPath()) + escape(rest))
	}
	w.macro("SH", "DESCRIPTION")
	long := c.Long
	if long == "" {
		long = c.Short + "."
	}
	w.body(long)
	if c.HasAvailableSubCommands() {
		w.macro("SH", "COMMANDS")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && sub.Name() != "help" && sub.Name() != "completion" {
				w.macro("TP")
				w.raw(bold(manName(sub)) + "(8)")
				w.text(sub.Short + ".")
			}
		}
	}
	manFlags(w, "OPTIONS", c.NonInheritedFlags())
	manFlags(w, "OPTIONS OF ALL COMMANDS", c.InheritedFlags())
	if !c.HasParent() {
		w.raw(strings.TrimSpace(manRest))
	}
	if c.Example != "" {
		w.macro("SH", "EXAMPLES")
		w.verbatim(c.Example)
	}
	if c.HasParent() {
		w.macro("SH", "EXIT STATUS")
		w.text("0: all is well. 1: what was asked about is not well. 2: wrong usage.")
	}
	w.macro("SH", "SEE ALSO")
	see := []string{}
	for p := c.Parent(); p != nil; p = p.Parent() {
		see = append(see, bold(manName(p))+"(8)")
	}
	see = append(see, bold("postmoat-rules")+"(5)", bold("postmoat.yaml")+"(5)")
	w.raw(strings.Join(see, ",\n"))
	return w.Bytes()
}

func manFlags(w *roff, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	w.macro("SH", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		arg, usage := pflag.UnquoteUsage(f)
		name := bold("--" + f.Name)
		if f.Shorthand != "" {
			name = bold("-"+f.Shorthand) + ", " + name
		}
		if arg != "" {
			name += " " + italic(arg)
		}
		w.macro("TP")
		w.raw(name)
		switch f.DefValue {
		case "", "0", "false", "[]", "0s": // nothing is worth no word
		default:
			usage += " (default " + f.DefValue + ")"
		}
		w.text(upperFirst(usage) + ".")
	})
}

// A roff collects the source of a page.
type roff struct{ bytes.Buffer }

// macro writes a request. Its arguments are names and dates: their hyphens are
// plain, so that indexers know them.
func (w *roff) macro(name string, args ...string) {
	w.WriteString("." + name)
	for _, a := range args {
		fmt.Fprintf(w, ` "%s"`, strings.NewReplacer(`\`, `\e`, `"`, `\(dq`).Replace(a))
	}
	w.WriteByte('\n')
}

// raw writes lines of roff as they are.
func (w *roff) raw(s string) { w.WriteString(s + "\n") }

// text writes words to be filled; no line of it is taken for a request.
func (w *roff) text(s string) {
	for line := range strings.SplitSeq(strings.TrimSpace(s), "\n") {
		w.raw(guard(escape(line)))
	}
}

// verbatim writes lines as they stand.
func (w *roff) verbatim(s string) {
	w.raw(".nf")
	for line := range strings.SplitSeq(strings.TrimRight(s, "\n"), "\n") {
		w.raw(guard(escape(line)))
	}
	w.raw(".fi")
}

// body writes paragraphs, which blank lines part; one with an indented line is
// a table or an example and stays as it is.
func (w *roff) body(s string) {
	for i, p := range strings.Split(strings.Trim(s, "\n"), "\n\n") {
		if i > 0 {
			w.macro("PP")
		}
		if strings.HasPrefix(p, " ") || strings.Contains(p, "\n ") {
			w.verbatim(p)
		} else {
			w.text(p)
		}
	}
}

// escape takes the meaning from what roff would read in a text. A hyphen is
// written so that it can be copied into a shell.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(s)
}

// guard keeps a line that begins with a dot from being a request.
func guard(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}

func bold(s string) string   { return `\fB` + escape(s) + `\fR` }
func italic(s string) string { return `\fI` + escape(s) + `\fR` }

func lowerFirst(s string) string { return strings.ToLower(s[:min(1, len(s))]) + s[min(1, len(s)):] }
func upperFirst(s string) string { return strings.ToUpper(s[:min(1, len(s))]) + s[min(1, len(s)):] }
