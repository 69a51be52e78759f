use super::{ANSWER_TIMEOUT, DockerEngine, Purpose, convert};
use crate::engine::{Container, ContainerSpec, ContainerState, EngineError, Exit, LogLine};
use bollard::{
    errors::Error,
    query_parameters::{
        CreateContainerOptionsBuilder, EventsOptionsBuilder, ListContainersOptionsBuilder,
        LogsOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
        WaitContainerOptionsBuilder,
    },
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

fn is_status(error: &Error, status: u16) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code, .. } if *status_code == status)
}

fn label_filter(labels: &BTreeMap<String, String>) -> Vec<String> {
    labels.iter().map(|(k, v)| format!("{k}={v}")).collect()
}

impl DockerEngine {
    pub(super) async fn create_container(
        &self,
        spec: &ContainerSpec,
        purpose: Purpose,
    ) -> Result<String, EngineError> {
        let options = CreateContainerOptionsBuilder::default().name(&spec.name).build();
        let body = convert::create_body(spec, purpose, self.connection().await?.cpus);
        match self.docker().await?.create_container(Some(options), body).await {
            Ok(created) => Ok(created.id),
            Err(e) if is_status(&e, 409) => Err(EngineError::NameTaken { name: spec.name.clone() }),
            Err(e) => Err(self.error(format!("create container {:?}", spec.name), e)),
        }
    }

    pub(super) async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        docker.start_container(id, None).await.map_err(|e| self.error(format!("start container {id}"), e))
    }

    pub(super) async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), EngineError> {
        let options = StopContainerOptionsBuilder::default()
            .t(i32::try_from(grace.as_secs()).unwrap_or(i32::MAX))
            .build();
        let docker = self.docker().await?.clone().with_timeout(ANSWER_TIMEOUT + grace);
        match docker.stop_container(id, Some(options)).await {
            Err(e) if !is_status(&e, 404) => Err(self.error(format!("stop container {id}"), e)),
            _ => Ok(()),
        }
    }

    pub(super) async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.docker().await?.remove_container(id, Some(options)).await {
            // 409: its removal is already under way.
            Err(e) if !is_status(&e, 404) && !is_status(&e, 409) => {
                Err(self.error(format!("remove container {id}"), e))
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn inspect_container(&self, id: &str) -> Result<Option<Container>, EngineError> {
        match self.docker().await?.inspect_container(id, None).await {
            Ok(answer) => Ok(Some(convert::container(answer))),
            Err(e) if is_status(&e, 404) => Ok(None),
            Err(e) => Err(self.error(format!("inspect container {id}"), e)),
        }
    }

    pub(super) async fn list_containers(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Container>, EngineError> {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&HashMap::from([("label", label_filter(labels))]))
            .build();
        let found = self
            .docker()
            .await?
            .list_containers(Some(options))
            .await
            .map_err(|e| self.error("list containers", e))?;
        let mut containers = Vec::with_capacity(found.len());
        for summary in found {
            // Gone between the two questions is as good as never listed.
            if let Some(id) = summary.id
                && let Some(container) = self.inspect_container(&id).await?
            {
                containers.push(container);
            }
        }
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }

    pub(super) async fn wait_container(&self, id: &str) -> Result<Exit, EngineError> {
        let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
        let docker = self.patient().await?;
        let code = match docker.wait_container(id, Some(options)).next().await {
            Some(Ok(answer)) => answer.status_code,
            Some(Err(Error::DockerContainerWaitError { code, .. })) => code,
            Some(Err(e)) => return Err(self.error(format!("wait for container {id}"), e)),
            None => return Err(self.unavailable("the connection ended")),
        };
        let seen = self.inspect_container(id).await?.map(|container| container.state);
        Ok(match seen {
            Some(ContainerState::Exited(exit)) => Exit { code, ..exit },
            _ => Exit { code, out_of_memory: false, at_ms: None },
        })
    }

    pub(super) async fn tail_logs(&self, id: &str, count: usize) -> Result<Vec<LogLine>, EngineError> {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .tail(&count.to_string())
            .build();
        self.docker()
            .await?
            .logs(id, Some(options))
            .map_ok(convert::log_line)
            .map_err(|e| self.error(format!("read the log of container {id}"), e))
            .try_collect()
            .await
    }

    pub(super) fn stream_logs(
        &self,
        id: &str,
        since_s: i64,
    ) -> BoxStream<'static, Result<LogLine, EngineError>> {
        let (engine, id) = (self.clone(), id.to_owned());
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .follow(true)
            .since(i32::try_from(since_s).unwrap_or(0))
            .build();
        futures::stream::once(async move {
            let docker = engine.patient().await?.clone();
            let action = format!("follow the log of container {id}");
            let logs = docker.logs(&id, Some(options));
            Ok::<_, EngineError>(
                logs.map_ok(convert::log_line).map_err(move |e| engine.error(action.clone(), e)),
            )
        })
        .try_flatten()
        .boxed()
    }

    pub(super) fn stream_changes(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> BoxStream<'static, Result<(), EngineError>> {
        let engine = self.clone();
        let events = ["start", "die", "oom", "destroy"].map(str::to_owned);
        let options = EventsOptionsBuilder::default()
            .filters(&HashMap::from([
                ("type", vec!["container".to_owned()]),
                ("event", events.to_vec()),
                ("label", label_filter(labels)),
            ]))
            .build();
        futures::stream::once(async move {
            let docker = engine.patient().await?.clone();
            Ok::<_, EngineError>(
                docker
                    .events(Some(options))
                    .map_ok(|_| ())
                    .map_err(move |e| engine.error("follow its events", e)),
            )
        })
        .try_flatten()
        .boxed()
    }
}
