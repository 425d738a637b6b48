package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/loggen"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	truthFile, zipped := filepath.Join(dir, "truth.json"), filepath.Join(dir, "mail.log.gz")
	var plain, stderr bytes.Buffer
	if err := run([]string{"-mix", "b", "-lines", "500", "-seed", "7", "-truth", truthFile}, &plain, &stderr); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(truthFile)
	if err != nil {
		t.Fatal(err)
	}
	var truth loggen.Truth
	if err := json.Unmarshal(data, &truth); err != nil || truth.Lines != 500 || strings.Count(plain.String(), "\n") != 500 {
		t.Errorf("%v, %+v", err, truth)
	}
	if err := run([]string{"-mix", "b", "-lines", "500", "-seed", "7", "-o", zipped}, io.Discard, &stderr); err != nil {
		t.Fatal(err)
	}
	got, z := unzip(t, zipped)
	if !bytes.Equal(got, plain.Bytes()) {
		t.Error("the compressed log is another one")
	}
	if want := time.Date(2026, 7, 15, 0, 0, 0, 0, time.UTC); !z.ModTime.Equal(want) || z.Name != "mail.log" {
		t.Errorf("header %q of %v", z.Name, z.ModTime)
	}
}

func TestMistakes(t *testing.T) {
	for want, args := range map[string][]string{
		`mix "q": not one of a, b, c, 2004`:            {"-mix", "q"},
		`argument "x": there are only flags`:           {"x"},
		`-start noon: want a time like`:                {"-start", "noon"},
		`flag provided but not defined: -nonsense`:     {"-nonsense"},
		`no such file or directory`:                    {"-o", "/nonexistent/x/y"},
		`the rate and the number of lines must be pos`: {"-rate", "-1"},
	} {
		var stdout, stderr bytes.Buffer
		if err := run(args, &stdout, &stderr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v", args, err)
		}
	}
}

func TestHelpNamesEveryMix(t *testing.T) {
	var stdout, stderr bytes.Buffer
	_ = run([]string{"-h"}, &stdout, &stderr)
	names, _ := loggen.Mixes()
	for _, name := range names {
		if !strings.Contains(stderr.String(), "\n  "+name+" ") {
			t.Errorf("%s is missing in\n%s", name, stderr.String())
		}
	}
}

// The committed logs are what `make testdata` makes. Compared is what they say,
// not how they are compressed: that may change with the Go release.
func TestCommittedLogs(t *testing.T) {
	dir := t.TempDir()
	logFile, truthFile := filepath.Join(dir, "attack-2004.log.gz"), filepath.Join(dir, "truth.json")
	if err := run([]string{"-mix", "2004", "-seed", "1", "-o", logFile, "-truth", truthFile}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	const committed = "../../testdata/replay/attack-2004"
	got, gotHeader := unzip(t, logFile)
	want, wantHeader := unzip(t, committed+".log.gz")
	if !bytes.Equal(got, want) || !gotHeader.ModTime.Equal(wantHeader.ModTime) || gotHeader.Name != wantHeader.Name {
		t.Error("testdata/replay/attack-2004.log.gz is not what the generator makes: run 'make testdata'")
	}
	if day := time.Date(2004, 7, 15, 0, 0, 0, 0, time.UTC); !wantHeader.ModTime.Equal(day) {
		t.Errorf("the header says %v: the year of the stamps would be wrong", wantHeader.ModTime)
	}
	gotTruth, err := os.ReadFile(truthFile)
	if err != nil {
		t.Fatal(err)
	}
	wantTruth, err := os.ReadFile(committed + ".truth.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(gotTruth, wantTruth) {
		t.Error("testdata/replay/attack-2004.truth.json is not what the generator makes: run 'make testdata'")
	}
}

func unzip(t *testing.T, path string) ([]byte, gzip.Header) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data, z.Header
}
