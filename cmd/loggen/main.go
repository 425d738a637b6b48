// Command loggen writes made-up maillogs for tests and benchmarks.
//
//	loggen -mix a -lines 1000000 -seed 1 -truth truth.json > a.log
package main

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postmoat/postmoat/pkg/loggen"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "loggen:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	var o loggen.Options
	var out, truthFile, start string
	f := flag.NewFlagSet("loggen", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, "Usage: loggen [flags] > mail.log\n\nMixes:\n")
		names, abouts := loggen.Mixes()
		for i, name := range names {
			fmt.Fprintf(stderr, "  %-12s %s\n", name, abouts[i])
		}
		fmt.Fprint(stderr, "\nFlags:\n")
		f.PrintDefaults()
	}
	f.StringVar(&o.Mix, "mix", "a", "what the log holds")
	f.Uint64Var(&o.Seed, "seed", 1, "the same seed gives the same log")
	f.IntVar(&o.Lines, "lines", 0, "lines at most; 0: a million for a, b and c, else all there are")
	f.Float64Var(&o.Attack, "attack", 0.40, "share of attack lines in a and b; negative: none")
	f.IntVar(&o.Bots, "bots", 0, "bots in b, with three tries each; 0: as many as the share needs")
	f.Float64Var(&o.V6, "v6", 0.10, "share of IPv6 hosts in a, b and c; negative: none")
	f.Float64Var(&o.Rate, "rate", 278, "lines a second of log time in a, b and c")
	f.StringVar(&start, "start", "", "`time` of the first line, RFC 3339, or 'now': so that the last line is about now (a, b, c)")
	f.BoolVar(&o.ISO, "iso", false, "RFC 3339 stamps")
	f.StringVar(&out, "o", "", "write to `FILE` instead of standard output, compressed if it ends in .gz")
	f.StringVar(&truthFile, "truth", "", "write what the log holds to `FILE`, as JSON")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("argument %q: there are only flags", f.Arg(0))
	}
	var err error
	if o.Start, err = startTime(start, o); err != nil {
		return err
	}
	truth, err := write(stdout, out, o)
	if err != nil {
		return err
	}
	if truthFile == "" {
		return nil
	}
	data, err := json.MarshalIndent(truth, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(truthFile, append(data, '\n'), 0o644)
}

func startTime(text string, o loggen.Options) (time.Time, error) {
	switch text {
	case "":
		return time.Time{}, nil
	case "now":
		lines := o.Lines
		if lines == 0 {
			lines = 1_000_000
		}
		return time.Now().Add(-time.Duration(float64(lines) / o.Rate * float64(time.Second))), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("-start %s: want a time like 2026-07-14T00:00:00Z, or now", text)
	}
	return t, nil
}

// write writes the log to stdout or to a file.
func write(stdout io.Writer, out string, o loggen.Options) (loggen.Truth, error) {
	if out == "" {
		return loggen.Write(stdout, o)
	}
	f, err := os.Create(out)
	if err != nil {
		return loggen.Truth{}, err
	}
	var truth loggen.Truth
	if strings.HasSuffix(out, ".gz") {
		truth, err = compress(f, strings.TrimSuffix(filepath.Base(out), ".gz"), o)
	} else {
		truth, err = loggen.Write(f, o)
	}
	return truth, errors.Join(err, f.Close())
}

// compress writes a gzip file as a rotation at the next midnight would. The
// header's time is where the year of the stamps comes from.
func compress(w io.Writer, name string, o loggen.Options) (loggen.Truth, error) {
	// The header comes first and the end is only known in the end.
	truth, err := loggen.Write(io.Discard, o)
	if err != nil {
		return truth, err
	}
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return truth, err
	}
	z.Name, z.ModTime = name, truth.End.Truncate(24*time.Hour).Add(24*time.Hour)
	truth, err = loggen.Write(z, o)
	return truth, errors.Join(err, z.Close())
}
