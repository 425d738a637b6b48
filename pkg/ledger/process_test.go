package ledger

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// The test binary is run again as another process, which does this.
const childEnv = "LEDGER_TEST_CHILD"

func TestMain(m *testing.M) {
	if folder := os.Getenv(childEnv); folder != "" {
		appendForEver(folder)
	}
	os.Exit(m.Run())
}

// appendForEver appends durable records, says each number once it is safe, and
// makes snapshots in between.
func appendForEver(folder string) {
	fail := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	l, err := Open(folder, Options{})
	fail(err)
	var state []string
	for i := 0; ; i++ {
		state = append(state, strconv.Itoa(i))
		fail(l.Append([]byte(state[i]), true))
		fmt.Println(i)
		if i%7 == 6 {
			s, err := l.Begin()
			fail(err)
			_, err = s.Write([]byte(strings.Join(state, ",")))
			fail(err)
			fail(s.Commit())
		}
	}
}

// TestKill kills a process that appends: every record that it has said is there
// afterwards, and at most one more.
func TestKill(t *testing.T) {
	for _, after := range []int{0, 1, 6, 7, 8, 15, 40} {
		folder := t.TempDir()
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), childEnv+"="+folder)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := 0
		in := bufio.NewScanner(out)
		for in.Scan() {
			if in.Text() != strconv.Itoa(said) {
				t.Fatalf("the child said %q, want %d", in.Text(), said)
			}
			if said++; said == after+1 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		cmd.Wait() // it was killed
		f := recoverAll(t, folder)
		got := f.whole()
		if said <= after || len(got) < said || len(got) > said+1 || len(f.Problems) > 0 {
			t.Fatalf("%d records said, %d there, %+v", said, len(got), f.Recovery)
		}
		for i, r := range got {
			if r != strconv.Itoa(i) {
				t.Fatalf("record %d is %q", i, r)
			}
		}
	}
}
