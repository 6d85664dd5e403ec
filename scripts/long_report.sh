# What a long run came to, as a section of docs/long-run.md. Read by ./test with `. scripts/long_report.sh`.

# Prints the suites of a log of `cargo test`, one row each: what, tests that passed, that failed, time.
long_suites() {
	sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
		function row() {
			if (suite != "") printf "| %s | %d | %d | %s |\n", suite, passed, failed, time
			for (i = 1; i <= parts; i++) printf "| &nbsp;&nbsp;`%s` | %d | %d | |\n", order[i], ok[order[i]], bad[order[i]]
			suite = ""; parts = 0; delete ok; delete bad; delete order
		}
		/^ *Running / { row(); suite = "`" ($2 == "unittests" ? $3 : $2) "`"; next }
		/^ *Doc-tests / { row(); suite = "documentation of `" $2 "`"; next }
		# Of a suite with many topics, each topic: the first two words of the test names below `it`.
		suite == "`tests/it/main.rs`" && /^test .* \.\.\. / {
			split($2, word, "::"); topic = word[1] (word[1] == "lab" && word[3] != "" ? "::" word[2] : "")
			if (!(topic in ok)) { order[++parts] = topic; ok[topic] = 0; bad[topic] = 0 }
			if (/ \.\.\. ok$/) ok[topic]++; else if (/FAILED$/) bad[topic]++
		}
		/^test result: / {
			passed = $4; failed = $6; time = "?"
			if (match($0, /finished in [0-9.]+s/)) time = substr($0, RSTART + 12, RLENGTH - 13) " s"
			if (passed + failed == 0) suite = ""
			row()
		}'
}

# long_report LOG FAILED SECONDS SKIPPED: prints the section.
long_report() {
	local result='all passed' commit
	[ "$2" = 0 ] || result='**FAILED**'
	commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
	git diff --quiet HEAD 2>/dev/null || commit="$commit, changed since"
	printf '## %s: %s\n\n' "$(date -u +%Y-%m-%d)" "$result"
	printf 'Commit %s; Linux %s, %s processors; %d min %d s in all, the build included.\n' \
		"$commit" "$(uname -r)" "$(nproc)" $(($3 / 60)) $(($3 % 60))
	[ -z "$4" ] || printf '\nSkipped: the lab (%s).\n' "$4"
	printf '\n| suite | passed | failed | time |\n| --- | ---: | ---: | ---: |\n'
	long_suites "$1"
	printf '\n'
}
