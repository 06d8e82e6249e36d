// The threads of a model's parallel loops.
#include "engine/thread_team.h"

#include <atomic>
#include <chrono>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.h"
#include "engine/work_shares.h"

namespace {

using namespace voxpod;

TEST(thread_team_test, "every thread has its part in every loop, the caller's is the first") {
  ThreadTeam team(3);
  EXPECT_EQUAL(team.threads(), 3);
  const auto caller = std::this_thread::get_id();
  std::vector<std::thread::id> seen(3);
  for (int round = 0; round < 1000; ++round) {
    std::vector<std::thread::id> now(3);
    team.run(
        [&](int64_t thread) { now[static_cast<size_t>(thread)] = std::this_thread::get_id(); });
    if (round == 0) seen = now;
    EXPECT(now == seen);
  }
  EXPECT(seen[0] == caller);
  EXPECT_EQUAL(std::set(seen.begin(), seen.end()).size(), size_t{3});
}

TEST(thread_team_test, "threads that went to sleep wake for the next loop") {
  ThreadTeam team(2);
  std::atomic<int> parts{0};
  for (int round = 0; round < 5; ++round) {
    team.run([&](int64_t thread) {
      // The caller sleeps as well, waiting for this one.
      if (thread == 1) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      ++parts;
    });
    EXPECT_EQUAL(parts.load(), 2 * (round + 1));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

TEST(thread_team_test, "a failure of any thread reaches the caller when all are done") {
  ThreadTeam team(3);
  for (int64_t failing = 0; failing < 3; ++failing) {
    std::atomic<int> done{0};
    std::string message;
    try {
      team.run([&](int64_t thread) {
        if (thread == failing) throw std::runtime_error("part " + std::to_string(thread));
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        ++done;
      });
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    EXPECT_EQUAL(message, "part " + std::to_string(failing));
    EXPECT_EQUAL(done.load(), 2);
  }
  std::atomic<int> parts{0};
  team.run([&](int64_t) { ++parts; });
  EXPECT_EQUAL(parts.load(), 3);
}

TEST(thread_team_test, "work is shared out among the team of the thread that has it done") {
  EXPECT(ThreadTeam::current() == nullptr);
  {
    ThreadTeam team(2);
    EXPECT(ThreadTeam::current() == &team);
    std::atomic<int> alone{0};
    std::atomic<int> both{0};
    // Both tasks wait for each other: they are done at the same time or never.
    share_work(2, [&] {
      return [&](int64_t) {
        ++both;
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (both < 2 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
        // A loop within a task is the task's own.
        EXPECT(ThreadTeam::current() == nullptr);
        const auto self = std::this_thread::get_id();
        share_work(50,
                   [&] { return [&](int64_t) { alone += std::this_thread::get_id() == self; }; });
      };
    });
    EXPECT_EQUAL(both.load(), 2);
    EXPECT_EQUAL(alone.load(), 100);
    std::thread([] { EXPECT(ThreadTeam::current() == nullptr); }).join();
  }
  EXPECT(ThreadTeam::current() == nullptr);
}

}  // namespace
