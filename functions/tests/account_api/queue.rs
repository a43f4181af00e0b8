//! The worker's queue, as it is seen where no worker runs.

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;

pub struct WorkQueue {
    client: Client,
    url: String,
}

impl WorkQueue {
    pub fn new(sdk: &SdkConfig, url: &str) -> Self {
        Self { client: Client::new(sdk), url: url.to_owned() }
    }

    /// Does something while there is no such queue. Afterwards it is there again, and empty.
    pub async fn missing<T>(&self, work: impl Future<Output = T>) -> T {
        self.client.delete_queue().queue_url(&self.url).send().await.unwrap();
        let done = work.await;
        let create = self.client.create_queue().queue_name(self.url.rsplit('/').next().unwrap());
        create.attributes(Attribute::FifoQueue, "true").send().await.unwrap();
        done
    }

    /// Messages that wait.
    pub async fn waiting(&self) -> usize {
        let name = Attribute::ApproximateNumberOfMessages;
        let ask = self.client.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone());
        ask.send().await.unwrap().attributes.unwrap()[&name].parse().unwrap()
    }
}
